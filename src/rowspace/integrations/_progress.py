"""How far a long piece of work has come, in words: how many, how fast, and when it will be over."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Protocol

__all__ = ["Advance", "Pace", "ProgressLines", "plural"]

# Seconds between two lines of progress where there is no terminal to draw a bar on.
_REPORT_EVERY = 5.0

#: Seconds of the past that the present speed is taken from, at least.
_WINDOW = 10.0


class Advance(Protocol):
    """What is told how many are done, and which share of the whole that is where it is known."""

    def __call__(self, done: int, share: float | None = None, /) -> None:
        """Show it."""


class Pace:
    """How many are done, how fast it goes, and when it will be over.

    Args:
        total: how many there are, where it is known.
        clock: the time in seconds.
    """

    def __init__(self, total: int | None = None, clock: Callable[[], float] = monotonic) -> None:
        self.share: float | None = None
        self._total = total
        self._clock = clock
        self._marks: deque[tuple[float, int, float | None]] = deque([(clock(), 0, 0.0)])

    def at(self, done: int, share: float | None = None) -> str:
        """Return in words where it is."""
        self.share = done / self._total if share is None and self._total else share
        now = self._clock()
        # The last mark that is older than the window stays, so that there is always something to compare with.
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
    """Says now and then how far it is.

    Args:
        label: what is being done.
        pace: what puts it in words.
        say: takes a line.
        then: what is being done after that.
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
