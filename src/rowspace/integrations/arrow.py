"""Arrow and Parquet (extra `arrow`): tables and streams of record batches out of the database, and into it.

Embeddings are `FixedSizeList<float32>` and come by COPY in binary, without a Python object for a number. pandas and
Polars stand on this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, Unpack

from sqlalchemy import SelectBase

from rowspace._optional import require
from rowspace.integrations._files import complete
from rowspace.integrations._frames.load import Existing, Loading, load
from rowspace.integrations._frames.read import MetadataMode, fields_of, selected
from rowspace.models import Collection
from rowspace.repositories import CollectionRepository, TableRepository
from rowspace.repositories.given import AnySession
from rowspace.repositories.subjects import Where
from rowspace.results import LoadReport, Reject

__all__ = [
    "Over",
    "ReadOptions",
    "WriteOptions",
    "export_parquet",
    "load_parquet",
    "read_batches",
    "read_table",
    "write_table",
]

if TYPE_CHECKING:
    import pyarrow as pa
else:
    pa = require("pyarrow", extra="arrow")

#: Bytes of a column that are read from a Parquet file at once.
_BUFFER = 1 << 20

#: The name of a collection, a collection, or a declarative class with a vector column.
Over: TypeAlias = str | Collection | type[Any]


class ReadOptions(TypedDict, total=False):
    """The options of `read_batches`, which says what they are."""

    columns: Sequence[str] | None
    where: Where | None
    metadata: MetadataMode


class WriteOptions(TypedDict, total=False):
    """The options of `write_table`, which says what they are."""

    if_exists: Existing
    names: Mapping[str, str] | None
    chunksize: int
    create: Mapping[str, Any] | None
    build_indexes: bool
    rejects: Callable[[Reject], object] | None


@contextmanager
def read_batches(
    session: AnySession,
    over: Over | SelectBase,
    *,
    columns: Sequence[str] | None = None,
    where: Where | None = None,
    metadata: MetadataMode = "columns",
) -> Iterator[pa.RecordBatchReader]:
    """Return a context with a `pyarrow.RecordBatchReader` over the rows that match, in parts of about 4 MiB.

    The session's connection is busy until the block ends, which may be before the last batch. Memory holds one part.

    Args:
        session: a SQLAlchemy session; nothing is committed.
        over: the name of a collection, a collection, a declarative class with a vector column, or a `select`, whose
            rows come in its order through a cursor of the server.
        columns: attributes, and keys of the metadata; by default all but the timestamps of documents.
        where: a metadata filter, or conditions on the model; not with a `select`, which has its own.
        metadata: `columns` for a column for each key, which costs a pass over the rows to find them, or `json` for one
            column of JSON text.

    Raises:
        CollectionNotFound: there is no collection of that name.
        ConfigurationError: an unknown column, or an option that does not go with `over`.
        InvalidFilter: the filter is malformed.
        InvalidRow: a value that Arrow cannot hold, such as an infinite date.
    """
    if isinstance(over, SelectBase):
        with selected(session, over, columns=columns, where=where) as reader:
            yield reader
        return
    subject = CollectionRepository(session).get(over) if isinstance(over, str) else over
    tables = TableRepository(session, subject)
    fields = fields_of(tables, subject, columns=columns, where=where, metadata=metadata)
    with tables.stream(fields.attributes, where=where) as parts:
        yield pa.RecordBatchReader.from_batches(fields.schema, map(fields.batch, parts))


def read_table(session: AnySession, over: Over | SelectBase, **options: Unpack[ReadOptions]) -> pa.Table:
    """Return the rows that match as a `pyarrow.Table`; arguments and errors are those of `read_batches`."""
    with read_batches(session, over, **options) as reader:
        return reader.read_all()


def write_table(
    session: AnySession,
    over: Over,
    data: Any,
    *,
    if_exists: Existing = "fail",
    names: Mapping[str, str] | None = None,
    chunksize: int = 5_000,
    create: Mapping[str, Any] | None = None,
    build_indexes: bool = True,
    rejects: Callable[[Reject], object] | None = None,
) -> LoadReport:
    """Write rows to a collection or a table, by COPY in binary: all of them or none, in the session's transaction.

    A collection has the columns `id`, `content` and `embedding`; whatever else there is becomes metadata, but nulls. A
    model has its attributes, of which those that the server computes are left out, and metadata if it has a JSONB
    attribute `meta`. What is wrong with a table is found before anything is written; what is wrong with a stream undoes
    what was written of it.

    Args:
        session: a SQLAlchemy session; nothing is committed.
        over: the name of a collection, which is created if it is missing, a collection, or a declarative class.
        data: a `Table`, a `RecordBatch`, a `RecordBatchReader`, or anything with `__arrow_c_stream__`.
        if_exists: where the collection is there, or the table has rows: `fail`, `append`, which updates the rows whose
            key is there, or `replace`.
        names: what a column of the data is called here, such as `{"isbn": "id"}`.
        chunksize: rows sent at once.
        create: options of `CollectionRepository.create` for a new collection; `dimension` too where no row tells it;
            not with a model.
        build_indexes: create the indexes of a collection that was empty, after the load.
        rejects: called with each row that has a bad vector, or a null where there may be none, in place of an error;
            the report counts them.

    Raises:
        CollectionExists: the collection is there, or the table has rows, and `if_exists` is `fail`.
        InvalidRow: a column is missing, unknown or of a wrong type, a null or an id that comes twice.
        InvalidVector, DimensionMismatch: embeddings that are no numbers, or of another dimension.
        ConfigurationError: an option that does not exist, or does not go with `over`.
        TransactionConflict: the collection that is replaced could not be dropped; see `CollectionRepository.drop`.
    """
    loading = Loading(if_exists, names or {}, chunksize, create or {}, build_indexes, rejects)
    return load(session, over, data, loading)


def export_parquet(
    session: AnySession,
    over: Over | SelectBase,
    path: str | Path,
    *,
    overwrite: bool = False,
    progress: Callable[[int], object] | None = None,
    **options: Unpack[ReadOptions],
) -> int:
    """Write the rows that match to a Parquet file, part by part, and return how many there were.

    The file gets its name when it is complete.

    Args:
        session: a SQLAlchemy session; nothing is committed.
        over: what is read.
        path: the file.
        overwrite: take the place of a file that is there.
        progress: called after each part with the rows so far.
        options: those of `read_batches`, as are the errors.

    Raises:
        FileExistsError: the file is there.
    """
    parquet: Any = require("pyarrow.parquet", extra="arrow")
    rows = 0
    with (
        complete(path, overwrite=overwrite) as unfinished,
        read_batches(session, over, **options) as reader,
        parquet.ParquetWriter(unfinished, reader.schema, use_dictionary=_repeating(reader.schema)) as writer,
    ):
        for batch in reader:
            writer.write_batch(batch)
            rows += len(batch)
            if progress is not None:
                progress(rows)
    return rows


def _repeating(schema: Any) -> list[str] | bool:
    """Return the columns whose values may come more than once: a dictionary of the numbers of vectors is of no use."""
    return [field.name for field in schema if not pa.types.is_fixed_size_list(field.type)] or False


def open_parquet(path: str | Path) -> Any:
    """Return a `ParquetFile` that is read bit by bit, however large its row groups are.

    Raises:
        pyarrow.ArrowException, OSError: it cannot be read.
    """
    parquet: Any = require("pyarrow.parquet", extra="arrow")
    # Else a column of a row group is read at once: pandas writes row groups of a million rows.
    return parquet.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)


def parquet_batches(file: Any, rows: int) -> Iterator[Any]:
    """Yield record batches of at most so many rows from an open `ParquetFile`."""
    for group in range(file.num_row_groups):
        # Over all groups at once, Arrow would read ahead of what is taken.
        yield from file.iter_batches(batch_size=rows, row_groups=[group])


def load_parquet(session: AnySession, over: Over, path: str | Path, **options: Unpack[WriteOptions]) -> LoadReport:
    """Write the rows of a Parquet file to a collection or a table; options and errors are those of `write_table`.

    The file is read part by part.
    """
    with open_parquet(path) as file:
        batches = parquet_batches(file, options.get("chunksize", 5_000))
        return write_table(session, over, pa.RecordBatchReader.from_batches(file.schema_arrow, batches), **options)
