"""`rowspace index` and `rowspace tune`: build, watch, repair, drop and measure the indexes of a collection."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rowspace.cli.console import bars, print_rows
from rowspace.cli.process import confirm, fail, say
from rowspace.cli.session import open_database, settings_of

if TYPE_CHECKING:
    from rowspace import BuildProgress, IndexBuilder, IndexStatus
    from rowspace.tuning import TuningPoint

__all__ = ["app", "tune"]

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Build, watch and repair the indexes of collections."
)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The collection.")]
_Memory = Annotated[str | None, typer.Option(metavar="SIZE", help="Memory for the build, such as 1GB.")]
_Workers = Annotated[
    int | None, typer.Option(min=0, max=1_024, metavar="N", help="Parallel worker processes besides the leader.")
]
_Blocking = Annotated[bool, typer.Option("--block-writes", help="Build faster, but block writes.")]


@app.command()
def build(
    context: typer.Context,
    name: _Name,
    *,
    memory: _Memory = None,
    workers: _Workers = None,
    block_writes: _Blocking = False,
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Build an index on this metadata key, for filters by range.")
    ] = None,
) -> None:
    """Build the missing or INVALID indexes of a collection. Writes continue meanwhile.

    \b
    Examples:
      rowspace index build articles
      rowspace index build articles --memory 2GB --workers 4
      rowspace index build articles --key published
    """  # noqa: D301
    options: dict[str, Any] = {"concurrently": not block_writes, "maintenance_work_mem": memory}
    with _builder(context, name) as builder, _bar() as progress:
        if key is not None:
            builder.create_key_index(key, **options, progress=progress)
        found = builder.create(**options, parallel_workers=workers, progress=progress)
    _print(found)


@app.command()
def reindex(
    context: typer.Context,
    name: _Name,
    *,
    memory: _Memory = None,
    workers: _Workers = None,
    block_writes: _Blocking = False,
) -> None:
    """Rebuild the vector index of a collection, next to the old one. Searches and writes continue meanwhile.

    \b
    Example:
      rowspace index reindex articles --memory 2GB
    """  # noqa: D301
    with _builder(context, name) as builder, _bar() as progress:
        found = builder.reindex(
            concurrently=not block_writes, maintenance_work_mem=memory, parallel_workers=workers, progress=progress
        )
    _print(found)


@app.command()
def cluster(
    context: typer.Context,
    name: _Name,
    key: Annotated[str, typer.Argument(metavar="KEY", help="A metadata key, such as tenant or author.name.")],
    *,
    memory: _Memory = None,
) -> None:
    """Store documents with the same value of a metadata key together. Blocks reads and writes meanwhile.

    Afterwards, searches with a filter on the key read fewer pages. All indexes are rebuilt.

    \b
    Example:
      rowspace index cluster articles tenant --memory 2GB
    """  # noqa: D301
    with _builder(context, name) as builder:
        found = builder.cluster(key, maintenance_work_mem=memory)
    _print(found)


@app.command()
def repair(context: typer.Context, name: _Name, *, memory: _Memory = None) -> None:
    """Rebuild INVALID indexes, and drop the remains of a failed reindex.

    \b
    Example:
      rowspace index repair articles
    """  # noqa: D301
    with _builder(context, name) as builder, _bar() as progress:
        found = builder.repair(maintenance_work_mem=memory, progress=progress)
    _print(found)


@app.command()
def status(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The collection; by default, all.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """Print the validity, size and use of the indexes.

    \b
    Examples:
      rowspace index status
      rowspace index status articles --json
    """  # noqa: D301
    from rowspace import CollectionRepository, IndexBuilder

    with open_database(settings_of(context)) as database:
        with database.begin() as session:
            collections = CollectionRepository(session)
            chosen = collections.list() if name is None else [collections.get(name)]
        found = [status for one in chosen for status in IndexBuilder(database.engine, one).status()]
    if as_json:
        typer.echo(json.dumps([asdict(status) for status in found], indent=2))
    else:
        _print(found)


@app.command()
def drop(
    context: typer.Context,
    name: _Name,
    *,
    key: Annotated[str | None, typer.Option(metavar="KEY", help="Drop the index on this metadata key instead.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Drop the vector index of a collection. Searches are exact without it.

    \b
    Examples:
      rowspace index drop articles --yes
      rowspace index drop articles --key published
    """  # noqa: D301
    which = "the vector index" if key is None else f"the index on {key!r}"
    with _builder(context, name) as builder:
        confirm(f"Drop {which} of {name!r}?", yes=yes)
        if key is None:
            builder.drop()
        else:
            builder.drop_key_index(key)
    say(f"Dropped {which} of {name!r}.")


def tune(
    context: typer.Context,
    name: _Name,
    *,
    recall: Annotated[
        float, typer.Option(min=0.01, max=1, metavar="SHARE", help="The share of the true hits to find.")
    ] = 0.98,
    k: Annotated[int, typer.Option("--k", "-k", min=1, max=1_000, metavar="N", help="Number of hits per search.")] = 10,
    queries: Annotated[int, typer.Option(min=1, metavar="N", help="Number of stored documents to search by.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure the recall of a collection's searches, and store the smallest setting that reaches a target.

    Runs an exact search per query. Later searches use the setting. If no setting reaches the target, the best one is
    stored, and the exit code is 1.

    \b
    Examples:
      rowspace tune articles
      rowspace tune articles --recall 0.95 --k 20 --queries 200
    """  # noqa: D301
    from rowspace import CollectionRepository, IndexAdvisor

    with open_database(settings_of(context)) as database, database.begin() as session:
        advisor = IndexAdvisor(session, CollectionRepository(session).get(name))
        tuning = advisor.tune(recall, k, queries=queries, progress=None if as_json else _tell)
    if as_json:
        typer.echo(json.dumps({**tuning.to_dict(), "chosen": tuning.chosen.setting, "reached": tuning.reached}))
    else:
        rows = [
            (point.setting, f"{point.recall:.4f}", f"{point.milliseconds:.2f}", "*" if point == tuning.chosen else "")
            for point in tuning.points
        ]
        columns = (tuning.name, "recall", "median ms", "chosen")
        print_rows(columns, rows, numeric=columns[:3])
    if not tuning.reached:
        fail(tuning.advice)


def _tell(point: TuningPoint) -> None:
    say(f"{point.setting}: recall {point.recall:.3f} in {point.milliseconds:.2f} ms")


@contextmanager
def _builder(context: typer.Context, name: str) -> Iterator[IndexBuilder]:
    from rowspace import CollectionRepository, IndexBuilder

    with open_database(settings_of(context)) as database:
        with database.begin() as session:
            collection = CollectionRepository(session).get(name)
        yield IndexBuilder(database.engine, collection)


def _print(found: list[IndexStatus]) -> None:
    columns = ("index", "method", "state", "size", "rows", "scans", "remark")
    print_rows(columns, [_row(status) for status in found], numeric=("size", "rows", "scans"))


def _row(status: IndexStatus) -> tuple[Any, ...]:
    remark = "; ".join(status.differences) if status.wanted else "not declared"
    size = f"{status.size / 2**20:.1f} MB"
    is_key = not status.wanted and status.name.startswith("pk_")
    return status.name, status.method, status.state, size, status.rows, status.scans, "" if is_key else remark


@contextmanager
def _bar() -> Iterator[Callable[[BuildProgress], None]]:
    """Yield a callback that shows the progress of a build on standard error, as a bar or as one line per phase."""
    console = bars()
    if console is None:
        yield _Phases()
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("waiting", total=None)

        def show(progress: BuildProgress) -> None:
            total = None if progress.percent is None else 100.0
            bar.update(task, description=f"{progress.index}: {progress.phase}", total=total, completed=progress.percent)

        yield show


class _Phases:
    def __init__(self) -> None:
        self._last: tuple[str, str] | None = None

    def __call__(self, progress: BuildProgress) -> None:
        if (progress.index, progress.phase) != self._last:
            self._last = (progress.index, progress.phase)
            say(f"{progress.index}: {progress.phase}")
