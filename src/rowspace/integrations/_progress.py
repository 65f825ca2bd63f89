"""The progress of a long task in words: how many items are done, at which rate, and the time left."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Protocol

__all__ = ["Advance", "Pace", "ProgressLines", "plural"]

# Seconds between two lines of progress if there is no terminal that can draw a bar.
_REPORT_EVERY = 5.0

#: The rate is computed over at least this many seconds.
_WINDOW = 10.0


class Advance(Protocol):
    """A callback that gets the number of items done, and the share of the total if it is known."""

    def __call__(self, done: int, share: float | None = None, /) -> None:
        """Show the progress."""


class Pace:
    """Computes the progress, the rate and the time left.

    Args:
        total: the number of items, if it is known.
        clock: returns the time in seconds.
    """

    def __init__(self, total: int | None = None, clock: Callable[[], float] = monotonic) -> None:
        self.share: float | None = None
        self._total = total
        self._clock = clock
        self._marks: deque[tuple[float, int, float | None]] = deque([(clock(), 0, 0.0)])

    def at(self, done: int, share: float | None = None) -> str:
        """Record the progress and return it in words."""
        self.share = done / self._total if share is None and self._total else share
        now = self._clock()
        # Keep one mark that is older than the window, so that there is always something to compare with.
        while len(self._marks) > 1 and self._marks[1][0] <= now - _WINDOW:
            self._marks.popleft()
        then, before, reached = self._marks[0]
        self._marks.append((now, done, self.share))
        words = [f"{done:,}" if self._total is None else f"{done:,} of {self._total:,}"]
        if now > then:
            words.append(f"{(done - before) / (now - then):,.0f}/s")
            if self.share is not None and reached is not None and self.share > reached:
                words.append(f"{_duration((1 - self.share) * (now - then) / (self.share - reached))} left")
        return ", ".join(words)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class ProgressLines:
    """Prints a line of progress now and then.

    Args:
        label: the current task.
        pace: converts progress to words.
        say: prints a line.
        then: the task that follows.
    """

    def __init__(self, label: str, pace: Pace, say: Callable[[str], None], then: str | None) -> None:
        self._label = label
        self._then = then
        self._spoke = False
        self._pace = pace
        self._say = say
        self._due = monotonic() + _REPORT_EVERY

    def __call__(self, done: int, share: float | None = None, /) -> None:
        words = self._pace.at(done, share)
        if monotonic() >= self._due:
            self._due = monotonic() + _REPORT_EVERY
            self._say(f"{self._label}: {words}")
            self._spoke = True
        if self._then and self._spoke and (self._pace.share or 0) >= 1:
            self._say(f"{self._then} ...")
            self._then = None


def plural(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
