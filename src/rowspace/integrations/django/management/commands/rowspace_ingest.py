"""`manage.py rowspace_ingest`: documents from a file into a collection, all of them or none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from rowspace.errors import InvalidRow
from rowspace.integrations._reading import Fields, Format, read
from rowspace.integrations.django.management.base import RowspaceCommand
from rowspace.integrations.django.transactions import document_service
from rowspace.results import LoadReport
from rowspace.services import DocumentIn, DocumentService

__all__ = ["Command"]

_SUFFIXES = {
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".csv": Format.CSV,
    ".tsv": Format.TSV,
    ".parquet": Format.PARQUET,
}
_FORMATS = sorted(set(_SUFFIXES.values()))


class Command(RowspaceCommand):
    """Load documents in one transaction."""

    help = (
        "Loads documents from JSON Lines, CSV or Parquet into a collection, which is created if it is missing. A "
        "document whose id is there is updated; a text that did not change is not embedded again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the file and its fields."""
        super().add_arguments(parser)
        parser.add_argument("file", help="A .jsonl, .ndjson, .csv, .tsv or .parquet file; - for a pipe.")
        parser.add_argument("--collection", "-c", required=True, help="Where to.")
        parser.add_argument("--format", choices=[*map(str, _FORMATS)], help="By default what the suffix says.")
        parser.add_argument("--content", default="content", help="The field with the text.")
        parser.add_argument("--id", default=None, help="The field with the id; by default id, if there is one.")
        parser.add_argument(
            "--embedding", default=None, help="The field with the vector; by default texts are embedded."
        )
        parser.add_argument("--detect-types", action="store_true", help="CSV: read numbers, true and false.")
        parser.add_argument("--strip-nul", action="store_true", help="Leave NUL bytes out.")

    def run(self, **options: Any) -> None:
        """Read, create the collection if it is missing, write."""
        name, using = options["file"], options["database"]
        format_ = _format(name, options["format"])
        fields = Fields(
            options["content"],
            options["id"],
            options["embedding"],
            detect_types=options["detect_types"],
            strip_nul=options["strip_nul"],
        )
        with _opened(name) as lines, transaction.atomic(using=using):
            documents = _named(read(lines, format_, fields), name)
            report = _load(document_service(using), options["collection"], documents, fields)
        if options["verbosity"]:
            self.stdout.write(
                f"{report.received:,} documents into {options['collection']!r}: {report.inserted:,} new, "
                f"{report.updated:,} updated, {report.unchanged:,} unchanged, {report.duplicates:,} duplicates."
            )


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdin.buffer
        return
    with Path(name).open("rb") as lines:
        yield lines


def _format(name: str, given: str | None) -> Format:
    if given is not None:
        return Format(given)
    if Path(name).suffix.lower() not in _SUFFIXES:
        message = f"{name!r} does not tell the format: say --format {', '.join(_FORMATS)}."
        raise CommandError(message)
    return _SUFFIXES[Path(name).suffix.lower()]


def _named(documents: Iterator[DocumentIn], name: str) -> Iterator[DocumentIn]:
    try:
        yield from documents
    except InvalidRow as error:
        message = f"{'standard input' if name == '-' else name}, {error} Nothing was written."
        raise InvalidRow(message) from error


def _load(service: DocumentService, collection: str, documents: Iterator[DocumentIn], fields: Fields) -> LoadReport:
    first = next(documents, None)
    if first is None:
        return LoadReport()
    if collection not in {known.name for known in service.collections()}:
        service.create_collection(collection, None if first.embedding is None else len(first.embedding))
    return service.add(collection, chain([first], documents), strip_nul=fields.strip_nul)
