"""Arrow and Parquet (extra `arrow`): read and write tables and streams of record batches.

Embeddings are `FixedSizeList<float32>`. Binary COPY reads them without creating a Python object per number. The
integrations of pandas and Polars build on this module.
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

#: How many bytes of a column to read from a Parquet file at once.
_BUFFER = 1 << 20

#: The name of a collection, a collection, or a declarative class with a vector column.
Over: TypeAlias = str | Collection | type[Any]


class ReadOptions(TypedDict, total=False):
    """The options of `read_batches`, which documents them."""

    columns: Sequence[str] | None
    where: Where | None
    metadata: MetadataMode


class WriteOptions(TypedDict, total=False):
    """The options of `write_table`, which documents them."""

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
    """Return a context manager for a `pyarrow.RecordBatchReader` of the matching rows, in parts of about 4 MiB.

    The session's connection is busy until the `with` block ends, which can be before the last batch. Memory holds one
    part.

    Args:
        session: a SQLAlchemy session; nothing is committed.
        over: the name of a collection, a collection, a declarative class with a vector column, or a `select`, whose
            rows are read in its order from a server-side cursor.
        columns: attributes and metadata keys; by default all except the timestamps of documents.
        where: a metadata filter, or conditions on the model; not allowed with a `select`, which has its own.
        metadata: `columns` for one column per metadata key, which costs a pass over the rows to find the keys, or
            `json` for a single column of JSON text.

    Raises:
        CollectionNotFound: the collection does not exist.
        ConfigurationError: a column is unknown, or an option is not allowed with `over`.
        InvalidFilter: the filter is malformed.
        InvalidRow: Arrow cannot represent a value, such as an infinite date.
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
    """Return the matching rows as a `pyarrow.Table`. Takes the arguments of `read_batches` and raises its errors."""
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
    """Write rows to a collection or a table by binary COPY: all or none of them, in the session's transaction.

    For a collection, the columns `id`, `content` and `embedding` are written as such; all other columns become
    metadata, without nulls. For a model, columns are attributes, except those that the server computes; other columns
    become metadata if the model has a JSONB attribute `meta`. Errors in a table are found before anything is written.
    An error in a stream undoes its writes.

    Args:
        session: a SQLAlchemy session; nothing is committed.
        over: the name of a collection, which is created if it is missing, a collection, or a declarative class.
        data: a `Table`, a `RecordBatch`, a `RecordBatchReader`, or anything with `__arrow_c_stream__`.
        if_exists: if the collection exists, or the table has rows: `fail`, `append`, which updates rows whose key
            exists, or `replace`.
        names: renames columns of the data, such as `{"isbn": "id"}`.
        chunksize: the number of rows to send at once.
        create: options of `CollectionRepository.create` for a new collection, including `dimension` if there is no row
            to infer it from; not allowed with a model.
        build_indexes: whether to create the indexes of a collection that was empty, after the load.
        rejects: called with each row that has an invalid vector or a forbidden null, instead of raising an error; the
            report counts them.

    Raises:
        CollectionExists: the collection exists, or the table has rows, and `if_exists` is `fail`.
        InvalidRow: a column is missing, unknown or of a wrong type; a value is null; or an id is repeated.
        InvalidVector, DimensionMismatch: embeddings are not numbers, or have another dimension.
        ConfigurationError: an option is unknown, or not allowed with `over`.
        TransactionConflict: the collection to replace could not be dropped; see `CollectionRepository.drop`.
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
    """Write the matching rows to a Parquet file, part by part, and return the number of rows.

    The file appears under its name only when it is complete.

    Args:
        session: a SQLAlchemy session; nothing is committed.
        over: what to read, as for `read_batches`.
        path: the file.
        overwrite: whether to replace an existing file.
        progress: called after each part with the number of rows so far.
        options: the options of `read_batches`, which also documents further errors.

    Raises:
        FileExistsError: the file exists.
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
    """Return the columns to encode with a dictionary: all but vectors, whose numbers rarely repeat."""
    return [field.name for field in schema if not pa.types.is_fixed_size_list(field.type)] or False


def open_parquet(path: str | Path) -> Any:
    """Return a `ParquetFile` that is read incrementally, however large its row groups are.

    Raises:
        pyarrow.ArrowException, OSError: the file cannot be read.
    """
    parquet: Any = require("pyarrow.parquet", extra="arrow")
    # By default, pyarrow reads a column of a row group at once, and pandas writes row groups of a million rows.
    return parquet.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)


def parquet_batches(file: Any, rows: int) -> Iterator[Any]:
    """Yield record batches of at most `rows` rows from an open `ParquetFile`."""
    for group in range(file.num_row_groups):
        # Across row groups, Arrow would read ahead of the consumer.
        yield from file.iter_batches(batch_size=rows, row_groups=[group])


def load_parquet(session: AnySession, over: Over, path: str | Path, **options: Unpack[WriteOptions]) -> LoadReport:
    """Write the rows of a Parquet file to a collection or a table, part by part.

    It has the options and errors of `write_table`.
    """
    with open_parquet(path) as file:
        batches = parquet_batches(file, options.get("chunksize", 5_000))
        return write_table(session, over, pa.RecordBatchReader.from_batches(file.schema_arrow, batches), **options)
