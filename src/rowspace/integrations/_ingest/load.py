"""Load documents from a file into a collection. Shared by `rowspace ingest` and `manage.py rowspace_ingest`.

A command provides its options, a service, and a display for the progress. The rest is here, including the messages.
"""

from __future__ import annotations

import os
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeAlias

from rowspace.errors import ConfigurationError, InvalidRow
from rowspace.integrations._ingest.documents import Fields, numbered_documents
from rowspace.integrations._ingest.formats import Format, format_of
from rowspace.integrations._ingest.lines import Watch
from rowspace.integrations._ingest.rejects import Rejects
from rowspace.integrations._ingest.tables import documents_beside
from rowspace.integrations._progress import Advance, plural
from rowspace.results import LoadReport, Reject
from rowspace.services import DocumentIn, DocumentService

__all__ = ["Ingest", "Source"]

#: Commands that decompress a file, by suffix.
_PACKED = {"gz": "gzip -dc", "bz2": "bzip2 -dc", "xz": "xz -dc", "zst": "zstd -dc"}

#: How many documents are embedded and written at once.
_BATCH = 500

#: The step after the last row of a load into a new collection.
_INDEXING = "Building the indexes"

Beginning: TypeAlias = Callable[[int | None, str | None], Advance]


@dataclass(frozen=True, slots=True)
class Ingest:
    """A file, and how to load it.

    Args:
        file: its path, or `-` for standard input.
        format: its format.
        fields: the roles of its fields.
        rejects: a file for invalid rows; None means that an invalid row is an error.
        commit_batches: commit each batch.
        resume: commit each batch with its progress, and continue an interrupted load of the file.
        indexes: after the load, create the indexes of a collection that was empty.

    Raises:
        ConfigurationError: options cannot be combined.
    """

    file: str
    format: Format
    fields: Fields
    rejects: Path | None = None
    commit_batches: bool = False
    resume: bool = False
    indexes: bool = True

    @classmethod
    def of(cls, file: str, options: Mapping[str, Any]) -> Self:
        """Return the load of a file with the options of a command, under their names in `OPTIONS`.

        Raises:
            ConfigurationError: an option is invalid, or options cannot be combined.
        """
        if options.get("processes", 1) < 1:
            message = f"--processes must be at least 1, got {options['processes']}."
            raise ConfigurationError(message)
        kind = _format_of(file, options["format"])
        fields = Fields(
            options["content"],
            options["id"],
            # A matrix contains only vectors and has no fields.
            "embedding" if kind is Format.NPY else options["embedding"],
            detect_types=options["detect_types"],
            delimiter=_delimiter(options["delimiter"]),
            strip_nul=options["strip_nul"],
            ids=options["ids"],
        )
        if fields.embedding is not None and options.get("processes", 1) > 1:
            message = "--processes applies to embedding, but this file has vectors. Omit it."
            raise ConfigurationError(message)
        rejects = None if options["rejects"] is None else Path(options["rejects"])
        keeps = options["commit_batches"], options["resume"]
        return cls(file, kind, fields, rejects, *keeps, indexes=not options["no_indexes"])

    def __post_init__(self) -> None:
        fields, kind = self.fields, self.format
        for given, goes, option in (
            (fields.ids is not None, kind is Format.NPY, "--ids requires .npy"),
            (fields.detect_types, kind.is_csv, "--detect-types requires CSV or TSV"),
            (fields.delimiter is not None, kind.is_csv, "--delimiter requires CSV or TSV"),
            (self.file == "-", kind.is_lines, "Standard input must be JSON Lines, CSV or TSV"),
        ):
            if given and not goes:
                message = f"{option}, got {kind}."
                raise ConfigurationError(message)
        if self.rejects == Path("-"):
            message = "--rejects requires the name of a file, got -."
            raise ConfigurationError(message)
        if self.rejects is not None and any(_is_same(self.rejects, path) for path in self._read_from()):
            message = f"--rejects must name another file: {self.rejects} is being read."
            raise ConfigurationError(message)

    def _read_from(self) -> Iterator[Path]:
        yield Path("/dev/stdin" if self.file == "-" else self.file)
        if self.format is Format.NPY:
            yield documents_beside(Path(self.file), self.fields.ids)

    @property
    def in_one_transaction(self) -> bool:
        """Whether an error must leave nothing behind."""
        return not (self.commit_batches or self.resume)

    @property
    def kept(self) -> str:
        """What to add to the message of an error."""
        return (
            "Nothing was written."
            if self.in_one_transaction
            else "Complete batches are kept. Run the command again to continue."
        )

    @contextmanager
    def opened(self) -> Iterator[Source]:
        """Yield the source, opened together with the file of its rejects.

        Raises:
            OSError: a file cannot be opened.
            InvalidRow: a row is invalid. The message says what is kept.
        """
        try:
            with _opened(self.file) as lines, Rejects(self.rejects) as rejects:
                yield Source(self, lines, rejects)
        except InvalidRow as error:
            message = f"{error} {self.kept}"
            raise InvalidRow(message) from error


def _format_of(file: str, given: str | None) -> Format:
    try:
        return format_of(file, given)
    except ConfigurationError as error:
        suffix = Path(file).suffix.lower().removeprefix(".")
        if "json" in {given, suffix}:
            message = f"{error} To convert a JSON array: jq -c '.[]' {file} > lines.jsonl"
        elif given is None and suffix in _PACKED:
            inner = Path(Path(file).stem).suffix.removeprefix(".") or "jsonl"
            message = f"{error} To decompress it: {_PACKED[suffix]} {file} | rowspace ingest - --format {inner}"
        else:
            raise
        raise ConfigurationError(message) from error


def _is_same(one: Path, other: Path) -> bool:
    """Return whether two paths lead to the same file, with any links."""
    try:
        return one.samefile(other)
    except OSError:
        # One of them does not exist, so it is not the other.
        return False


def _delimiter(given: str | None) -> str | None:
    delimiter = {"tab": "\t", "\\t": "\t"}.get(given or "", given)
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        message = f"--delimiter must be one character, or tab, got {given!r}."
        raise ConfigurationError(message)
    return delimiter


class Source:
    """An open file of documents, and the progress of reading it."""

    def __init__(self, ingest: Ingest, lines: BinaryIO, rejects: Rejects) -> None:
        self._ingest = ingest
        self._name = "standard input" if ingest.file == "-" else ingest.file
        self._lines = lines
        self._size = _size(lines) if ingest.format.is_lines else 0
        self._rejects = rejects
        # The numbers of documents read and of rejected rows, and the row numbers of the last documents.
        self._documents = self._refused = 0
        self._numbers: deque[int] = deque(maxlen=_BATCH)
        self._left_out: str | None = None
        #: The number of rows, if the file states it.
        self.total: int | None = None

    @property
    def share(self) -> float | None:
        """The share that has been read, or None if the size is unknown."""
        if self.total is not None:
            return min(1.0, (self._documents + self._refused) / max(1, self.total))
        return min(1.0, self._lines.tell() / self._size) if self._size else None

    def load(self, service: DocumentService, collection: str, progress: Beginning) -> LoadReport:
        """Write the documents to the collection, which is created if it is missing, and return the report.

        Args:
            service: the service that writes them.
            collection: the name of the collection.
            progress: called with the number of rows, if it is known, and the step after the last one; returns a
                callback for the progress.
        """
        known = {one.name: one.dimension for one in service.collections()}
        found = self._read(replace(self._ingest.fields, dimension=known.get(collection)))
        first = next(found, None)
        if first is None:
            return LoadReport()
        if collection not in known:
            service.create_collection(collection, None if first.embedding is None else len(first.embedding))
        advance = progress(self.total, _INDEXING if collection not in known and self._ingest.indexes else None)
        return service.add(
            collection,
            chain([first], found),
            commit_batches=True,  # has an effect only if the sessions of the service commit
            resume=self._key if self._ingest.resume else None,
            strip_nul=self._ingest.fields.strip_nul,
            build_indexes=self._ingest.indexes,
            rejects=self._reject,
            batch_size=_BATCH,
            progress=lambda report: advance(report.received, self.share),
        )

    def summary(self, report: LoadReport, collection: str) -> str:
        """Return a summary of the load."""
        return (
            f"{plural(report.received - report.rejected, 'document')} into {collection!r}: {report.inserted:,} new, "
            f"{report.updated:,} updated, {report.unchanged:,} unchanged, {report.duplicates:,} duplicates"
        )

    @property
    def remarks(self) -> list[str]:
        """Further remarks: about rejected rows, and about vectors that were not used."""
        said, count = [], self._rejects.count
        if count:
            said.append(f"{plural(count, self._ingest.format.unit)} rejected: see {self._ingest.rejects}.")
        if name := self._left_out:
            said.append(
                f"The vectors in {name!r} were not used because texts were embedded. To load them: --embedding."
            )
        return said

    @property
    def _key(self) -> str:
        """The key that identifies an interrupted load of the file."""
        return self._ingest.file if self._ingest.file == "-" else str(Path(self._ingest.file).resolve())

    def _read(self, fields: Fields) -> Iterator[DocumentIn]:
        rejected = None if self._ingest.rejects is None else self._refuse
        watch = Watch(self._ingest.format.unit, rejected, self._count, self._leave_out)
        try:
            for number, document in numbered_documents(self._lines, self._ingest.format, fields, watch):
                self._numbers.append(number)
                self._documents += 1
                yield document
        except InvalidRow as error:
            message = f"{self._name}, {error}"
            raise InvalidRow(message) from error

    def _refuse(self, number: int, reason: str, row: Any) -> None:
        self._refused += 1
        self._rejects(number, reason, row)

    def _reject(self, reject: Reject) -> None:
        """Handle a document that the service rejected. The service counts documents from 0."""
        number, reason = self._numbers[reject.number - self._documents], reject.reason.partition(", ")[2]
        if self._ingest.rejects is None:
            message = f"{self._name}, {self._ingest.format.unit} {number}: {reason}"
            raise InvalidRow(message)
        self._rejects(number, reason, reject.row.model_dump(exclude={"embedding"}, exclude_none=True))

    def _count(self, rows: int) -> None:
        self.total = rows

    def _leave_out(self, name: str) -> None:
        self._left_out = name


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield _standard_input()
        return
    with Path(file).open("rb") as lines:
        yield lines


def _standard_input() -> BinaryIO:
    return sys.stdin.buffer


def _size(lines: Any) -> int:
    """Return the size of an open file in bytes, or 0 for a pipe."""
    try:
        status = os.fstat(lines.fileno())
    except OSError:
        # In a test or a notebook, standard input may not be a real file.
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0
