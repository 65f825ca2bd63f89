"""`rowspace ingest`: documents from a file or a pipe into a collection, all of them or none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from rowspace.cli.console import Stopwatch, plural, progress_of
from rowspace.cli.formats import format_of
from rowspace.cli.process import ExitCode, say
from rowspace.cli.session import one_transaction, open_database, settings_of, tell_choice
from rowspace.errors import InvalidRow

if TYPE_CHECKING:
    from rowspace import DocumentService, LoadReport
    from rowspace.cli.formats import Format
    from rowspace.cli.settings import Settings
    from rowspace.integrations._reading import Fields, Rejected

__all__ = ["ingest"]

_File = Annotated[
    str, typer.Argument(metavar="FILE", help="A .jsonl, .ndjson, .csv, .tsv, .parquet or .npy file; - for a pipe.")
]
_Collection = Annotated[
    str | None, typer.Option("--collection", "-c", metavar="NAME", help="Where to; it is created if missing.")
]
_Format = Annotated[
    str | None, typer.Option("--format", help="jsonl, csv, tsv, parquet or npy; by default the suffix.")
]
_Id = Annotated[str | None, typer.Option("--id", metavar="FIELD", help="The field with the id; by default id, if any.")]
_Embedding = Annotated[
    str | None, typer.Option(metavar="FIELD", help="The field with the vector; by default the text is embedded.")
]
_Ids = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="For .npy: its documents as .jsonl, or one id a line; by default the "
                 ".ids.jsonl file beside it."),
]  # fmt: skip

_DetectTypes = Annotated[
    bool, typer.Option("--detect-types", help="CSV: read numbers, true and false; leave empty cells out.")
]
_CommitBatches = Annotated[
    bool, typer.Option("--commit-batches", help="Commit as it goes, so that an interruption loses little.")
]
_Resume = Annotated[
    bool, typer.Option("--resume", help="Commit as it goes, and go on where an interrupted load stopped.")
]
_Rejects = Annotated[
    Path | None, typer.Option(metavar="REJECTS", help="Write bad lines here, with the reason, and go on.")
]


def ingest(  # noqa: PLR0913 -- each is an option of the command
    context: typer.Context,
    file: _File,
    *,
    collection: _Collection = None,
    format_: _Format = None,
    content: Annotated[str, typer.Option(metavar="FIELD", help="The field with the text.")] = "content",
    id_: _Id = None,
    embedding: _Embedding = None,
    ids: _Ids = None,
    detect_types: _DetectTypes = False,
    strip_nul: Annotated[bool, typer.Option("--strip-nul", help="Leave NUL bytes out.")] = False,
    commit_batches: _CommitBatches = False,
    resume: _Resume = False,
    rejects: _Rejects = None,
    processes: Annotated[int, typer.Option(min=1, metavar="N", help="Processes that embed.")] = 1,
) -> None:
    """Load documents from JSON Lines, CSV, Parquet or a NumPy matrix.

    A document whose id is there is updated; a text that is there already is not embedded again. Fields that are not
    named become metadata. A line that cannot be read stops the load with its number, and nothing is written; with
    --rejects it goes to a file instead, as a JSON object of line, reason and row.

    With --resume, given from the beginning, a load that was interrupted goes on when the command is given again; a
    file whose loaded part has changed since is refused.

    \b
    Examples:
      rowspace ingest articles.jsonl --collection articles
      rowspace ingest books.csv --content summary --id isbn --detect-types
      rowspace ingest books.parquet --embedding embedding
      rowspace ingest vectors.npy --ids ids.txt
      rowspace ingest large.jsonl --resume --rejects bad.jsonl --processes 4
      curl -s https://example.org/notes.jsonl | rowspace ingest - --format jsonl
    """  # noqa: D301
    from rowspace.integrations._reading import Fields

    kind = format_of(file, format_)
    # A matrix has no fields, and is nothing but vectors.
    embedding = "embedding" if kind == "npy" else embedding
    fields = Fields(content, id_, embedding, detect_types=detect_types, strip_nul=strip_nul, ids=ids)
    _check_rejects(rejects, file)
    keeps = commit_batches or resume
    with _telling_what_is_kept(commit_batches=keeps):
        _Ingest(file, kind, fields, rejects, keeps, resume, processes).run(settings_of(context), collection)


@dataclass(frozen=True, slots=True)
class _Ingest:
    """One run of the command."""

    file: str
    kind: Format
    fields: Fields
    rejects: Path | None
    keeps: bool
    resume: bool
    processes: int

    def run(self, settings: Settings, collection: str | None) -> None:
        from rowspace import DocumentService
        from rowspace.cli.embedders import embedder_of
        from rowspace.cli.rejects import Rejects

        name = collection or settings.collection
        embedder = None if self.fields.embedding else embedder_of(settings.embedder, processes=self.processes)
        watch = Stopwatch()
        with (
            closing(embedder) if embedder is not None and self.processes > 1 else nullcontext(),
            _opened(self.file) as lines,
            Rejects(self.rejects) as rejected,
            open_database(settings) as database,
            # One transaction includes the creation of the collection: a bad line leaves no empty one behind.
            nullcontext(database) if self.keeps else one_transaction(database) as sessions,
        ):
            source = _Source(self.file, lines, self.kind, None if self.rejects is None else rejected)
            key = source.key if self.resume else None
            report = _load(DocumentService(sessions, embedder), name, source, self.fields, key=key)
        say(
            f"{plural(report.received, 'document')} into {name!r}: {report.inserted:,} new, "
            f"{report.updated:,} updated, {report.unchanged:,} unchanged, {report.duplicates:,} duplicates, in {watch}."
        )
        if rejected.count:
            say(f"{plural(rejected.count, 'line')} rejected: see {self.rejects}.")


def _check_rejects(rejects: Path | None, file: str) -> None:
    if rejects is not None and file != "-" and rejects.resolve() == Path(file).resolve():
        message = f"{rejects} is what is read."
        raise typer.BadParameter(message, param_hint="--rejects")


class _Source:
    """Lines, what they are called in a message, and how they are written."""

    def __init__(self, name: str, lines: BinaryIO, format_: Format, rejected: Rejected | None) -> None:
        self.name = "standard input" if name == "-" else name
        #: What an interrupted load of it is known by.
        self.key = name if name == "-" else str(Path(name).resolve())
        self._lines = lines
        self._format = format_
        self._rejected = rejected
        self._size = Path(name).stat().st_size if Path(name).is_file() else 0

    def share(self) -> float | None:
        """Return the share of it that was read, or None where its size is not known."""
        # What is a table is read by its own library, and nothing of it through this file.
        at = self._lines.tell() if self._size else 0
        return min(1.0, at / self._size) if at else None

    def read(self, fields: Fields) -> Iterator[Any]:
        """Yield the documents.

        Raises:
            InvalidRow: the message names file and line.
        """
        from rowspace.integrations._reading import read

        try:
            yield from read(self._lines, self._format, fields, rejected=self._rejected)
        except InvalidRow as error:
            message = f"{self.name}, {error}"
            raise InvalidRow(message) from error


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    with Path(file).open("rb") as lines:
        yield lines


def _load(documents: DocumentService, name: str, source: _Source, fields: Fields, *, key: str | None) -> LoadReport:
    from rowspace import LoadReport

    known = {one.name: one.dimension for one in documents.collections()}
    if fields.embedding is not None:
        fields = replace(fields, dimension=known.get(name))
    found = source.read(fields)
    first = next(found, None)
    if first is None:
        return LoadReport()
    if name not in known:
        tell_choice(documents.create_collection(name, None if first.embedding is None else len(first.embedding)))
    with progress_of("Loading") as advance:
        return documents.add(
            name,
            chain([first], found),
            commit_batches=True,  # if the sessions of the service commit
            resume=key,
            strip_nul=fields.strip_nul,
            progress=lambda report: advance(report.received, source.share()),
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
