"""`rowspace ingest`: load documents from a file or a pipe into a collection, all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rowspace.cli.console import Stopwatch, progress_of
from rowspace.cli.process import ExitCode, say
from rowspace.cli.session import embedder_for, one_transaction, open_database, settings_of
from rowspace.errors import ConfigurationError
from rowspace.integrations._ingest.options import FILE, OPTIONS

if TYPE_CHECKING:
    from rowspace.cli.settings import Settings
    from rowspace.integrations._ingest.load import Ingest

__all__ = ["ingest"]


def _option(name: str, *flags: str, **more: Any) -> Any:
    option = OPTIONS[name]
    flags = flags or (f"--{name.replace('_', '-')}",)
    return typer.Option(*flags, help=option.help, metavar=option.metavar, **more)


def ingest(  # noqa: PLR0913 -- each parameter is an option of the command
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help=FILE)],
    *,
    collection: Annotated[
        str | None,
        typer.Option("--collection", "-c", metavar="NAME", help="The collection to load into; created if missing."),
    ] = None,
    format_: Annotated[str | None, _option("format")] = None,
    content: Annotated[str, _option("content")] = "content",
    id_: Annotated[str | None, _option("id")] = None,
    embedding: Annotated[str | None, _option("embedding")] = None,
    ids: Annotated[str | None, _option("ids")] = None,
    delimiter: Annotated[str | None, _option("delimiter")] = None,
    detect_types: Annotated[bool, _option("detect_types")] = False,
    strip_nul: Annotated[bool, _option("strip_nul")] = False,
    commit_batches: Annotated[bool, _option("commit_batches")] = False,
    resume: Annotated[bool, _option("resume")] = False,
    no_indexes: Annotated[bool, _option("no_indexes")] = False,
    rejects: Annotated[str | None, _option("rejects")] = None,
    processes: Annotated[int, _option("processes", min=1)] = 1,
) -> None:
    """Load documents from JSON Lines, CSV, Parquet or a NumPy matrix.

    A document whose id exists is updated, and a text that is already stored is not embedded again. Fields other
    than id, text and vector become metadata. A row that cannot be stored stops the load, and nothing is written; the
    error names its number. With --rejects, such rows are written to a file instead, as JSON objects with line, reason
    and row.

    A load that was started with --resume continues where it was interrupted when the same command is run again. A
    file whose loaded part has changed is refused.

    \b
    Examples:
      rowspace ingest articles.jsonl --collection articles
      rowspace ingest books.csv --content summary --id isbn --detect-types
      rowspace ingest books.parquet --embedding embedding
      rowspace ingest vectors.npy --ids ids.txt
      rowspace ingest large.jsonl --resume --rejects bad.jsonl --processes 4
      curl -s https://example.org/notes.jsonl | rowspace ingest - --format jsonl
    """  # noqa: D301
    wanted = _wanted(file, {
        "format": format_, "content": content, "id": id_, "embedding": embedding, "ids": ids, "delimiter": delimiter,
        "detect_types": detect_types, "strip_nul": strip_nul, "commit_batches": commit_batches, "resume": resume,
        "rejects": rejects, "no_indexes": no_indexes, "processes": processes,
    })  # fmt: skip
    try:
        _run(wanted, settings_of(context), collection, processes)
    except KeyboardInterrupt:
        say(f"Interrupted. {wanted.kept}")
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _wanted(file: str, options: Mapping[str, Any]) -> Ingest:
    from rowspace.integrations._ingest.load import Ingest

    try:
        return Ingest.of(file, options)
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from error


def _run(wanted: Ingest, settings: Settings, collection: str | None, processes: int) -> None:
    from rowspace import DocumentService

    name = settings.collection if collection is None else collection
    watch = Stopwatch()
    with (
        nullcontext() if wanted.fields.embedding else embedder_for(settings.embedder, processes) as embedder,
        wanted.opened() as source,
        open_database(settings) as database,
        # The transaction includes the creation of the collection, so a bad line leaves no empty collection behind.
        one_transaction(database) if wanted.in_one_transaction else nullcontext(database) as sessions,
        ExitStack() as bar,
    ):
        report = source.load(
            DocumentService(sessions, embedder), name, lambda *told: bar.enter_context(progress_of("Loading", *told))
        )
    say(f"{source.summary(report, name)}, in {watch}.")
    for remark in source.remarks:
        say(remark)
