"""What a person sees: tables on standard output, progress and times on standard error."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from rowspace.cli.process import say

if TYPE_CHECKING:
    from rowspace.services import SearchHit

__all__ = [
    "Pace",
    "Stopwatch",
    "first_line",
    "measure",
    "output",
    "plural",
    "print_hits",
    "print_rows",
    "progress_of",
    "step",
]

# A terminal has a width of its own; a file or a pipe is read at leisure.
_PIPE_WIDTH = 120
# Seconds between two lines of progress where there is no terminal to draw a bar on.
_REPORT_EVERY = 5.0

# The least that is worth it for the text of a hit.
_LEAST_ROOM = 16

#: Seconds of the past that the present speed is taken from, at least.
_WINDOW = 10.0


class Advance(Protocol):
    """What is told how many are done, and which share of the whole that is where it is known."""

    def __call__(self, done: int, share: float | None = None, /) -> None:
        """Show it."""


def output() -> Console:
    """Return the console of standard output."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, numeric: Sequence[str] = ()) -> None:
    """Print rows as a table on a terminal, and as tab-separated lines to a program."""
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            print(*(" ".join(str(cell).split()) for cell in row), sep="\t")  # noqa: T201
        return
    output().print(table(columns, rows, numeric=numeric))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, numeric: Sequence[str] = ()) -> Table:
    """Return a table of text cells."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in numeric else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(str(cell)) for cell in row))
    return made


def print_hits(
    hits: Sequence[SearchHit],
    text_of: Callable[[SearchHit], str],
    *,
    measures: Sequence[str] = ("distance", "similarity"),
) -> None:
    """Print hits as a table that keeps one line a hit where the terminal has room for it."""
    console = output()
    if not hits:
        console.print("No document matches.")
        return
    columns = ["", *measures, "id"]
    rows = [[hit.rank, *(measure(hit, name, 3) for name in measures), hit.id] for hit in hits]
    # Three cells between columns, one at each edge, two for the rank.
    taken = 10 + sum(len(name) + 3 for name in measures) + max(cell_len(hit.id) for hit in hits)
    if console.width - taken >= _LEAST_ROOM:
        columns.append("text")
        rows = [[*row, first_line(text_of(hit), console.width - taken)] for row, hit in zip(rows, hits, strict=True)]
    console.print(table(columns, rows, numeric=columns[: len(measures) + 1]))


def measure(hit: SearchHit, name: str, digits: int) -> str:
    """Return a distance, similarity, rank or score as text; `-` where the hit has none."""
    value = getattr(hit, name)
    return "-" if value is None else f"{value:.{digits}f}"


def first_line(text: str, width: int = 100) -> str:
    """Return the beginning of a text as one line of at most `width` cells; a Chinese character takes two."""
    line = " ".join(text.partition("\n")[0].split())
    return line if cell_len(line) <= width else set_cell_size(line, width - 3).rstrip() + "..."


def plural(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = monotonic()

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s" if self.seconds >= 0.1 else f"{1_000 * self.seconds:.0f} ms"

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return monotonic() - self._began


@contextmanager
def step(label: str) -> Iterator[Callable[[str], None]]:
    """Time a step and say afterwards how long it took; what is yielded changes the label."""
    labels = [label]
    watch = Stopwatch()
    yield labels.append
    say(f"{watch!s:>7}  {labels[-1]}")


@contextmanager
def progress_of(label: str, total: int | None = None) -> Iterator[Advance]:
    """Yield a function that is told how many are done: a bar on a terminal, now and then a line elsewhere."""
    pace = Pace(total)
    if not sys.stderr.isatty():
        yield _Lines(label, pace)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[pace]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=None, pace="")

        def advance(done: int, share: float | None = None, /) -> None:
            words, reached = pace.at(done, share), pace.share
            progress.update(task, completed=reached or 0, total=None if reached is None else 1.0, pace=words)

        yield advance


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


class _Lines:
    def __init__(self, label: str, pace: Pace) -> None:
        self._label = label
        self._pace = pace
        self._due = monotonic() + _REPORT_EVERY

    def __call__(self, done: int, share: float | None = None, /) -> None:
        words = self._pace.at(done, share)
        if monotonic() >= self._due:
            self._due = monotonic() + _REPORT_EVERY
            say(f"{self._label}: {words}")
