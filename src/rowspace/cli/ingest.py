"""`rowspace ingest`: documents from a file or a pipe into a collection, all of them or none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from rowspace.cli.console import Stopwatch, plural, progress_of
from rowspace.cli.process import ExitCode, say
from rowspace.cli.session import one_transaction, open_database, settings_of
from rowspace.errors import InvalidRow

if TYPE_CHECKING:
    from rowspace import DocumentService, LoadReport
    from rowspace.integrations._reading import Fields, Format

__all__ = ["ingest"]


def ingest(  # noqa: PLR0913 -- each is an option of the command
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A .jsonl, .ndjson, .csv or .tsv file; - for a pipe.")],
    *,
    collection: Annotated[
        str | None, typer.Option("--collection", "-c", metavar="NAME", help="Where to; it is created if missing.")
    ] = None,
    format_: Annotated[str | None, typer.Option("--format", help="jsonl, csv or tsv; by default the suffix.")] = None,
    content: Annotated[str, typer.Option(metavar="FIELD", help="The field with the text.")] = "content",
    id_: Annotated[
        str | None, typer.Option("--id", metavar="FIELD", help="The field with the id; by default id, if any.")
    ] = None,
    embedding: Annotated[
        str | None, typer.Option(metavar="FIELD", help="The field with the vector; by default the text is embedded.")
    ] = None,
    detect_types: Annotated[
        bool, typer.Option("--detect-types", help="CSV: read numbers, true and false; leave empty cells out.")
    ] = False,
    strip_nul: Annotated[bool, typer.Option("--strip-nul", help="Leave NUL bytes out.")] = False,
    commit_batches: Annotated[
        bool, typer.Option("--commit-batches", help="Commit as it goes, so that an interruption loses little.")
    ] = False,
) -> None:
    """Load documents from JSON Lines or CSV.

    A document whose id is there is updated; a text that is there already is not embedded again. Fields that are not
    named become metadata. A line that cannot be read stops the load with its number, and nothing is written.

    \b
    Examples:
      rowspace ingest articles.jsonl --collection articles
      rowspace ingest books.csv --content summary --id isbn --detect-types
      rowspace ingest vectors.jsonl --embedding vector
      curl -s https://example.org/notes.jsonl | rowspace ingest - --format jsonl
    """  # noqa: D301
    from rowspace.integrations._reading import Fields

    settings = settings_of(context)
    name, kind = collection or settings.collection, _format(file, format_)
    fields = Fields(content, id_, embedding, detect_types=detect_types, strip_nul=strip_nul)
    watch = Stopwatch()
    with (
        _telling_what_is_kept(commit_batches=commit_batches),
        _opened(file) as lines,
        open_database(settings) as database,
        # One transaction includes the creation of the collection: a bad line leaves no empty one behind.
        nullcontext(database) if commit_batches else one_transaction(database) as sessions,
    ):
        report = _load(_service(sessions, embedding), name, _Source(file, lines, kind), fields)
    say(
        f"{plural(report.received, 'document')} into {name!r}: {report.inserted:,} new, {report.updated:,} updated, "
        f"{report.unchanged:,} unchanged, {report.duplicates:,} duplicates, in {watch}."
    )


class _Source:
    """Lines, what they are called in a message, and how they are written."""

    def __init__(self, name: str, lines: BinaryIO, format_: Format) -> None:
        self.name = "standard input" if name == "-" else name
        self._lines = lines
        self._format = format_

    def read(self, fields: Fields) -> Iterator[Any]:
        """Yield the documents.

        Raises:
            InvalidRow: the message names file and line.
        """
        from rowspace.integrations._reading import read

        try:
            yield from read(self._lines, self._format, fields)
        except InvalidRow as error:
            message = f"{self.name}, {error}"
            raise InvalidRow(message) from error


def _format(file: str, given: str | None) -> Format:
    from rowspace.integrations._reading import Format

    name = given or {".ndjson": "jsonl"}.get(Path(file).suffix.lower(), Path(file).suffix.lower().removeprefix("."))
    if name in list(Format):
        return Format(name)
    message = f"expected one of {', '.join(Format)}, got {given!r}."
    if given is None:
        message = f"{file!r} does not tell the format: say {', '.join(Format)}."
    if name == "json":
        message += f" For one JSON array: jq -c '.[]' {file} | rowspace ingest - --format jsonl"
    raise typer.BadParameter(message, param_hint="--format")


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    with Path(file).open("rb") as lines:
        yield lines


def _service(sessions: Any, embedding: str | None) -> DocumentService:
    from rowspace import DocumentService
    from rowspace.integrations.local import LocalEmbedder

    return DocumentService(sessions, LocalEmbedder() if embedding is None else None)


def _load(documents: DocumentService, name: str, source: _Source, fields: Fields) -> LoadReport:
    from rowspace import LoadReport
    from rowspace.integrations.local import LocalEmbedder

    known = {one.name: one.dimension for one in documents.collections()}
    if fields.embedding is not None:
        fields = replace(fields, dimension=known.get(name))
    found = source.read(fields)
    first = next(found, None)
    if first is None:
        return LoadReport()
    if name not in known:
        size = LocalEmbedder.dimension if first.embedding is None else len(first.embedding)
        documents.create_collection(name, size)
    with progress_of("Loading") as advance:
        return documents.add(
            name,
            chain([first], found),
            commit_batches=True,  # if the sessions of the service commit
            strip_nul=fields.strip_nul,
            progress=lambda report: advance(report.received),
        )


@contextmanager
def _telling_what_is_kept(*, commit_batches: bool) -> Iterator[None]:
    kept = "Complete batches are kept; run it again to go on." if commit_batches else "Nothing was written."
    try:
        yield
    except KeyboardInterrupt:
        say(f"Interrupted. {kept}")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except InvalidRow as error:
        message = f"{error} {kept}"
        raise InvalidRow(message) from error
