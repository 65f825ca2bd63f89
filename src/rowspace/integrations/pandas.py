"""pandas 3 (extra `pandas`): read and write data frames, with the conventions of `read_sql` and `to_sql`.

The embedding is an Arrow column, `fixed_size_list<float>[n]`: one block of float32 instead of an object per row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import SelectBase

from rowspace._optional import require
from rowspace.errors import ConfigurationError, InvalidRow, InvalidVector
from rowspace.models import Collection
from rowspace.repositories.given import AnySession, size
from rowspace.repositories.targets import mapper_of
from rowspace.results import LoadReport, Reject
from rowspace.wire.columns import Kind, kind_of
from rowspace.wire.values import to_json

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = require("pandas", extra="pandas")
pa: Any = require("pyarrow", extra="pandas")
pc: Any = require("pyarrow.compute", extra="pandas")

# After the imports above, so that a missing library is reported with this extra.
from rowspace.integrations._frames.load import Existing  # noqa: E402
from rowspace.integrations._frames.metadata import IS_JSON, is_json  # noqa: E402
from rowspace.integrations._frames.rows import DOCUMENT  # noqa: E402
from rowspace.integrations._frames.vectors import vectors_of  # noqa: E402
from rowspace.integrations.arrow import Over, ReadOptions, read_batches, read_table, write_table  # noqa: E402

__all__ = ["read_frame", "read_frames", "to_matrix", "write_frame"]

Backend = Literal["numpy", "pyarrow"]

#: Exceptions by which Arrow rejects a value, such as text that is not valid Unicode.
_REFUSED = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, UnicodeEncodeError)

#: pandas's nullable types.
_NULLABLE = {
    pa.bool_(): pd.BooleanDtype(),
    **{getattr(pa, name.lower())(): getattr(pd, f"{name}Dtype")() for name in
       ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")},
}  # fmt: skip
_NULLABLE_FLOATS = {pa.float32(): pd.Float32Dtype(), pa.float64(): pd.Float64Dtype()}


def read_frame(
    session: AnySession,
    over: Over | SelectBase,
    *,
    index_col: str | list[str] | None = None,
    dtype_backend: Backend = "numpy",
    **options: Unpack[ReadOptions],
) -> pd.DataFrame:
    """Return the matching rows as a `DataFrame`.

    Numbers and booleans with missing values have pandas's nullable types. A frame that `write_frame` wrote to a
    collection is read back with its original types.

    Args:
        session: a SQLAlchemy session; nothing is committed.
        over: the name of a collection, a collection, a declarative class with a vector column, or a `select`.
        index_col: the column or columns to use as the index.
        dtype_backend: `numpy` for pandas's default types except for the embedding; `pyarrow` for Arrow types in all
            columns.
        options: `columns`, `where` and `metadata`, as in `rowspace.integrations.arrow.read_batches`, which also
            documents the errors.
    """
    return _frame(read_table(session, over, **options), index_col, dtype_backend)


def read_frames(
    session: AnySession,
    over: Over | SelectBase,
    *,
    chunksize: int = 50_000,
    index_col: str | list[str] | None = None,
    dtype_backend: Backend = "numpy",
    **options: Unpack[ReadOptions],
) -> Generator[pd.DataFrame, None, None]:
    """Yield the matching rows as frames of `chunksize` rows, the last one smaller; see `read_frame`.

    Memory holds one frame. The session's connection is busy until the last frame, or until the iterator is closed.
    """
    chunksize = size("chunksize", chunksize)
    with read_batches(session, over, **options) as reader:
        waiting = reader.schema.empty_table()
        for batch in reader:
            waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch], reader.schema)])
            while len(waiting) >= chunksize:
                yield _frame(waiting.slice(0, chunksize), index_col, dtype_backend)
                waiting = waiting.slice(chunksize)
        if len(waiting):
            yield _frame(waiting, index_col, dtype_backend)


def write_frame(
    session: AnySession,
    over: Over,
    frame: pd.DataFrame,
    *,
    if_exists: Existing = "fail",
    index: bool = True,
    names: Mapping[str, str] | None = None,
    chunksize: int = 5_000,
    create: Mapping[str, Any] | None = None,
    rejects: Callable[[Reject], object] | None = None,
) -> LoadReport:
    """Write a frame to a collection or a table by binary COPY: all rows or none, in the session's transaction.

    Columns and errors are those of `rowspace.integrations.arrow.write_table`. NaN is a missing value, as everywhere in
    pandas. An embedding is a column of Arrow lists, or of arrays or lists of equal length.

    Args:
        session: a SQLAlchemy session; nothing is committed.
        over: the name of a collection, which is created if it is missing, a collection, or a declarative class.
        frame: the `DataFrame`.
        if_exists: if the collection exists, or the table has rows: `fail`, `append`, which updates rows whose key
            exists, or `replace`.
        index: whether to write the named levels of the index as columns; a level without a name only numbers the rows.
        names: renames columns of the frame, such as `{"isbn": "id"}`.
        chunksize: the number of rows to send at once.
        create: options of `CollectionRepository.create` for a new collection, including `dimension` if there is no row
            to infer it from.
        rejects: called with each row that has an invalid vector or a forbidden null, instead of raising an error.
    """
    if not isinstance(frame, pd.DataFrame):
        message = f"Expected a pandas DataFrame, got {type(frame)}. For other frames, use arrow.write_table."
        raise InvalidRow(message)
    options: dict[str, Any] = {"if_exists": if_exists, "chunksize": chunksize, "create": create}
    named = _with_index(frame) if index else frame
    # Arrow supports only strings as names.
    named = named.set_axis(named.columns.map(str), axis="columns")
    options["names"] = {str(name): here for name, here in (names or {}).items()}
    table = _table(named, options["names"], over)
    return write_table(session, over, table, rejects=rejects, **options)


def _with_index(frame: Any) -> Any:
    """Return a frame with the named levels of its index as columns."""
    levels = [name for name in frame.index.names if name is not None]
    if twice := [name for name in levels if name in frame.columns]:
        message = f"The index {twice[0]!r} has the same name as a column. Rename one, or pass index=False."
        raise InvalidRow(message)
    return frame.reset_index(levels) if levels else frame


def _table(frame: Any, names: Mapping[str, str], over: Over) -> Any:
    """Return a frame as an Arrow table, with JSON text for objects and for columns of mixed types."""
    _check_columns(frame)
    plain = frame.reset_index(drop=True)
    texts = {
        name: text
        for name, dtype in plain.dtypes.items()
        if dtype.kind == "O"
        and _takes_json(names.get(name, name), over)
        and (text := _as_json(plain[name])) is not None
    }
    try:
        table = pa.Table.from_pandas(plain.assign(**texts), preserve_index=False)
    except (*_REFUSED, TypeError) as error:
        message = f"The frame has values that Arrow cannot represent: {str(error).rstrip('.')}."
        raise InvalidRow(message) from error
    fields = [field.with_metadata(IS_JSON) if field.name in texts else field for field in table.schema]
    return pa.Table.from_arrays(table.columns, schema=pa.schema(fields, metadata=table.schema.metadata))


def _check_columns(frame: Any) -> None:
    if not frame.columns.is_unique:
        message = f"More than one column is named {frame.columns[frame.columns.duplicated()][0]!r}."
        raise InvalidRow(message)
    for name, dtype in frame.dtypes.items():
        values = dtype.categories.dtype if isinstance(dtype, pd.CategoricalDtype) else dtype
        if isinstance(values, pd.PeriodDtype | pd.IntervalDtype):
            # Arrow would store bare numbers, without the frequency or which end is included.
            message = f"The column {name!r} is {values}, which cannot be stored. Convert it to text: .astype(str)."
            raise InvalidRow(message)


def _takes_json(name: str, over: Over) -> bool:
    """Return whether a column becomes metadata, or is JSON in a model."""
    if isinstance(over, str | Collection):
        return name not in DOCUMENT
    columns = mapper_of(over).columns
    return name not in columns or kind_of(columns[name].type) is Kind.JSON


def _as_json(values: Any) -> list[str | None] | None:
    """Return values as JSON text, or None if Arrow has a type for all of them."""
    with suppress(*_REFUSED):
        if not _has_objects(pa.array(values, from_pandas=True).type):
            return None
    try:
        return [None if pd.api.types.is_scalar(one) and pd.isna(one) else to_json(one) for one in values]
    except (TypeError, ValueError, ArithmeticError) as error:
        message = f"The column {values.name!r} cannot be written: {error}"
        raise InvalidRow(message) from error


def _has_objects(type_: Any) -> bool:
    check = pa.types
    return bool(check.is_struct(type_) or (hasattr(type_, "value_type") and _has_objects(type_.value_type)))


def to_matrix(embeddings: Any) -> NDArray[np.float32]:
    """Return a column of embeddings as a C-contiguous float32 matrix of shape (rows, n).

    A single-chunk Arrow column is not copied. An array of arrays or lists also works.

    Raises:
        InvalidVector, DimensionMismatch: a value is missing or not a vector, or the dimensions differ.
    """
    try:
        array = pa.array(embeddings, from_pandas=True)
        array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        message = f"Expected a column of vectors: {error}."
        raise InvalidVector(message) from error
    if array.null_count:
        message = f"Row {array.is_null().to_numpy(zero_copy_only=False).argmax()} has no vector."
        raise InvalidVector(message)
    matrix: NDArray[np.float32] = vectors_of(array, name=getattr(embeddings, "name", None) or "embedding")
    return matrix


def _frame(table: Any, index_col: str | Sequence[str] | None, backend: Backend) -> Any:
    if backend not in {"numpy", "pyarrow"}:
        message = f"dtype_backend must be numpy or pyarrow, got {backend!r}."
        raise ConfigurationError(message)
    noted = _noted(table.schema.metadata or {})
    columns = {
        field.name: _objects(table.column(field.name))
        if backend == "numpy" and is_json(field) and field.name != "metadata"
        else _series(table.column(field.name), backend, noted.get(field.name))
        for field in table.schema
    }
    frame = pd.DataFrame(columns)
    return frame if index_col is None else frame.set_index(index_col)


def _noted(metadata: Mapping[bytes, bytes]) -> dict[str, str]:
    """Return the types that pandas recorded for the columns of a frame."""
    columns = json.loads(metadata.get(b"pandas", b"{}")).get("columns", [])
    return {str(column["name"]): column["numpy_type"] for column in columns}


def _objects(column: Any) -> Any:
    """Return JSON text as Python objects: dictionaries, lists, or values of several types."""
    return pd.Series([None if text is None else json.loads(text) for text in column.to_pylist()], dtype=object)


def _series(column: Any, backend: Backend, noted: str | None) -> Any:
    is_list = pa.types.is_fixed_size_list(column.type)
    if backend == "pyarrow" or is_list:
        return pd.Series(column, dtype=pd.ArrowDtype(column.type))
    if noted == "string" and (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column.to_pandas(types_mapper={column.type: pd.StringDtype()}.get)
    nullable = _NULLABLE.get(column.type) or _NULLABLE_FLOATS.get(column.type)
    if nullable is not None and (str(nullable) == noted or (column.null_count and column.type in _NULLABLE)):
        return column.to_pandas(types_mapper={column.type: nullable}.get)
    if _has_gaps(column):
        return pd.Series(column.to_pylist(), dtype=object)
    return column.to_pandas()


def _has_gaps(column: Any) -> bool:
    """Return whether lists of integers contain nulls. NumPy's integers have no null, and floats have fewer digits."""
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        return False
    values = pc.list_flatten(column)
    return _has_gaps(values) or bool(pa.types.is_integer(values.type) and values.null_count)
