"""`rowspace export`: write the documents of a collection to a file, completely or not at all."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rowspace.cli.console import Stopwatch, progress_of
from rowspace.cli.process import say
from rowspace.cli.search import json_option
from rowspace.cli.session import open_database, settings_of
from rowspace.errors import ConfigurationError
from rowspace.integrations._ingest.formats import Format, format_of
from rowspace.integrations._progress import Advance, plural

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from rowspace import Collection

__all__ = ["export"]


def export(
    context: typer.Context,
    collection: Annotated[str, typer.Argument(metavar="COLLECTION", help="The collection to export.")],
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file to write; - for standard output.")],
    *,
    format_: Annotated[
        str | None, typer.Option("--format", help="jsonl, csv, tsv, parquet or npy; by default, from the suffix.")
    ] = None,
    filter_: Annotated[
        str | None, typer.Option("--filter", metavar="JSON", help="Only documents whose metadata matches.")
    ] = None,
    embeddings: Annotated[bool, typer.Option("--embeddings/--no-embeddings", help="Include the vectors.")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Write the documents of a collection to a file that `rowspace ingest` reads.

    The file appears only when it is complete. Memory does not grow with the number of documents. A .npy file is one
    float32 matrix; the documents of its rows are written to an .ids.jsonl file next to it.

    \b
    Examples:
      rowspace export articles articles.parquet
      rowspace export articles recent.jsonl --filter '{"year": {"$gte": 2020}}' --no-embeddings
      rowspace export articles vectors.npy --overwrite
      rowspace export articles - | jq .content
    """  # noqa: D301
    kind = Format.JSONL if file == "-" and format_ is None else _format_of(file, format_)
    where = json_option(filter_, dict, "--filter")
    if not embeddings and kind is Format.NPY:
        message = "a .npy file contains only embeddings."
        raise typer.BadParameter(message, param_hint="--no-embeddings")
    if file == "-" and kind in {Format.PARQUET, Format.NPY}:
        message = f"{kind} needs a file and cannot be written to standard output."
        raise typer.BadParameter(message, param_hint="FILE")
    watch = Stopwatch()
    with open_database(settings_of(context)) as database, database.begin() as session:
        from rowspace import CollectionRepository, DocumentRepository

        # The columns are read first. One snapshot keeps them consistent with the rows that are read later.
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        found = CollectionRepository(session).get(collection)
        wanted = _Export(session, found, where or (), embeddings)
        with progress_of("Exporting", DocumentRepository(session, found).count(where=where)) as advance:
            rows = _write(wanted, kind, file, overwrite=overwrite, advance=advance)
    say(f"{plural(rows, 'document')} of {collection!r} to {'standard output' if file == '-' else file}, in {watch}.")


def _format_of(file: str, given: str | None) -> Format:
    try:
        return format_of(file, given)
    except ConfigurationError as error:
        raise typer.BadParameter(str(error), param_hint="--format") from error


@dataclass(frozen=True, slots=True)
class _Export:
    session: Session
    collection: Collection
    where: Any
    embeddings: bool

    @property
    def columns(self) -> list[str]:
        return ["id", "content", "meta", *(["embedding"] if self.embeddings else [])]

    def parts(self) -> AbstractContextManager[Iterator[dict[str, Any]]]:
        """Return a context with an iterator over the documents as columns."""
        from rowspace import TableRepository

        return TableRepository(self.session, self.collection).stream(self.columns, where=self.where)


def _write(wanted: _Export, kind: Format, file: str, *, overwrite: bool, advance: Advance) -> int:
    from rowspace.cli.writing import write_lines, write_matrix
    from rowspace.integrations._files import complete

    dimension, embeddings = wanted.collection.dimension, wanted.embeddings
    if file == "-":
        with wanted.parts() as parts:
            return write_lines(
                sys.stdout.buffer, kind, parts, dimension=dimension, embeddings=embeddings, advance=advance
            )
    if kind is Format.PARQUET:
        from rowspace.integrations.arrow import export_parquet

        columns = [name for name in wanted.columns if name != "meta"]
        columns[2:2] = ["metadata"]
        return export_parquet(wanted.session, wanted.collection, file, overwrite=overwrite, progress=advance,
                              columns=columns, where=wanted.where)  # fmt: skip
    beside = Path(file).with_suffix(".ids.jsonl")
    with complete(file, overwrite=overwrite) as path, wanted.parts() as parts:
        if kind is Format.NPY:
            with complete(beside, overwrite=overwrite) as lines, path.open("wb") as matrix, lines.open("wb") as texts:
                return write_matrix(matrix, texts, parts, dimension=dimension, advance=advance)
        with path.open("wb") as out:
            return write_lines(out, kind, parts, dimension=dimension, embeddings=embeddings, advance=advance)
