"""Output for people: tables on standard output, progress and timings on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from rowspace.cli.process import plain, say
from rowspace.integrations._progress import Advance, Pace, ProgressLines

if TYPE_CHECKING:
    from rowspace.services import SearchHit

__all__ = [
    "Stopwatch",
    "bars",
    "first_line",
    "measure",
    "output",
    "print_hits",
    "print_rows",
    "progress_of",
    "step",
]

# A terminal has its own width. For a file or a pipe, use one that is comfortable to read.
_PIPE_WIDTH = 120
# With less room than this, the text of a hit is not worth showing.
_LEAST_ROOM = 16


def output() -> Console:
    """Return the console of standard output."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def bars() -> Console | None:
    """Return the console of standard error if it can redraw a bar. A file and a dumb terminal cannot."""
    console = Console(stderr=True)
    return console if sys.stderr.isatty() and not console.is_dumb_terminal else None


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, numeric: Sequence[str] = ()) -> None:
    """Print rows as a table on a terminal, otherwise as tab-separated lines."""
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
        made.add_row(*(Text(plain(str(cell))) for cell in row))
    return made


def print_hits(
    hits: Sequence[SearchHit],
    text_of: Callable[[SearchHit], str],
    *,
    measures: Sequence[str] = ("distance", "similarity"),
) -> None:
    """Print hits as a table, with their text if the terminal has room to keep each hit on one line."""
    console = output()
    if not hits:
        console.print("No document matches.")
        return
    columns = ["", *measures, "id"]
    rows = [[hit.rank, *(measure(hit, name, 3) for name in measures), plain(hit.id)] for hit in hits]
    # Three cells between columns, one at each edge, two for the rank.
    taken = 10 + sum(len(name) + 3 for name in measures) + max(cell_len(plain(hit.id)) for hit in hits)
    if console.width - taken >= _LEAST_ROOM:
        columns.append("text")
        rows = [[*row, first_line(text_of(hit), console.width - taken)] for row, hit in zip(rows, hits, strict=True)]
    console.print(table(columns, rows, numeric=columns[: len(measures) + 1]))


def measure(hit: SearchHit, name: str, digits: int) -> str:
    """Return a distance, similarity, rank or score as text, or `-` if the hit has none."""
    value = getattr(hit, name)
    return "-" if value is None else f"{value:.{digits}f}"


def first_line(text: str, width: int) -> str:
    """Return the beginning of a text as one line of at most `width` cells. A Chinese character takes two cells."""
    line = plain(" ".join(text.partition("\n")[0].split()))
    return line if cell_len(line) <= width else set_cell_size(line, width - 3).rstrip() + "..."


class Stopwatch:
    """The seconds since its creation."""

    def __init__(self) -> None:
        self._began = monotonic()

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s" if self.seconds >= 0.1 else f"{1_000 * self.seconds:.0f} ms"

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return monotonic() - self._began


@contextmanager
def step(label: str) -> Iterator[None]:
    """Time a step, and print how long it took."""
    watch = Stopwatch()
    yield
    say(f"{watch!s:>7}  {label}")


@contextmanager
def progress_of(label: str, total: int | None = None, then: str | None = None) -> Iterator[Advance]:
    """Yield a callback for the number of items done. It moves a bar if the console can, otherwise it prints lines.

    `then` is the label to show after the last item, if more work follows.
    """
    pace = Pace(total)
    console = bars()
    if console is None:
        yield ProgressLines(label, pace, say, then)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[pace]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(label, total=None, pace="")

        def advance(done: int, share: float | None = None, /) -> None:
            words, reached = pace.at(done, share), pace.share
            is_over = then is not None and (reached or 0) >= 1
            # Without a total, the bar pulses.
            end = None if reached is None or is_over else 1.0
            progress.update(task, completed=reached or 0, total=end, pace=words, description=then if is_over else label)

        yield advance
