"""Convert database columns to Arrow arrays, and map column types to Arrow types. No I/O.

A vector is `FixedSizeList<float32>`, and JSON is text. Types unknown to Arrow become PostgreSQL's text representation.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy.types import TypeDecorator, TypeEngine

from rowspace._optional import require
from rowspace.errors import InvalidRow
from rowspace.types import stored_type, vector_type_of
from rowspace.vectors import as_vector
from rowspace.wire.columns import Kind, RawColumn, kind_of

__all__ = ["array_of", "array_of_values", "arrow_type", "as_type", "plain", "plain_type", "stacked", "vectors_array"]

pa: Any = require("pyarrow", extra="arrow")
pc: Any = require("pyarrow.compute", extra="arrow")

#: The days from Arrow's epoch (1970) to PostgreSQL's (2000).
_DAYS = 10_957
_MICROSECONDS = _DAYS * 86_400_000_000

#: Exceptions by which Arrow rejects a value.
_REFUSED = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, TypeError)

_TYPES: dict[Kind, Any] = {
    Kind.INT16: pa.int16(),
    Kind.INT32: pa.int32(),
    Kind.INT64: pa.int64(),
    Kind.FLOAT32: pa.float32(),
    Kind.FLOAT64: pa.float64(),
    Kind.BOOL: pa.bool_(),
    Kind.BYTES: pa.binary(),
    Kind.DATE: pa.date32(),
    Kind.TIMESTAMP: pa.timestamp("us"),
    Kind.TIMESTAMP_UTC: pa.timestamp("us", "UTC"),
}

_NUMBERS = {
    Kind.INT16: ">i2",
    Kind.INT32: ">i4",
    Kind.INT64: ">i8",
    Kind.FLOAT32: ">f4",
    Kind.FLOAT64: ">f8",
    Kind.BOOL: "?",
}
_MOMENTS = {
    Kind.DATE: (">i4", _DAYS),
    Kind.TIMESTAMP: (">i8", _MICROSECONDS),
    Kind.TIMESTAMP_UTC: (">i8", _MICROSECONDS),
}


def arrow_type(type_: TypeEngine[Any], dimension: int | None = None) -> Any:
    """Return the Arrow type for a column type. `dimension` is used for vectors whose type does not specify it."""
    described: Any = vector_type_of(type_) or stored_type(type_)
    kind = kind_of(described)
    if isinstance(type_, TypeDecorator) and kind in {Kind.VECTOR, Kind.ARRAY}:
        # The decorator converts a driver's value, but a COPY returns only text.
        return pa.string()
    if kind is Kind.VECTOR:
        size = described.dimension or dimension
        return pa.list_(pa.float32()) if size is None else pa.list_(pa.float32(), size)
    if kind is Kind.ARRAY:
        return _list_type(described)
    if kind is Kind.DECIMAL:
        return pa.decimal128(described.precision, described.scale or 0)
    return _TYPES.get(kind, pa.string())


def _list_type(type_: Any) -> Any:
    # Arrays arrive as JSON, where bytes are text.
    item = arrow_type(type_.item_type)
    list_ = pa.string() if pa.types.is_binary(item) else item
    for _ in range(type_.dimensions or 1):
        list_ = pa.list_(list_)
    return list_


def array_of(raw: RawColumn, kind: Kind, type_: Any) -> Any:
    """Convert a column to an Arrow array. `type_` is a result of `arrow_type`.

    Raises:
        InvalidRow: the column contains an infinite date or time, a decimal NaN, or an array of another number of
            dimensions.
        DimensionMismatch: a vector has another dimension.
    """
    if kind is Kind.VECTOR:
        is_fixed = pa.types.is_fixed_size_list(type_)
        return vectors_array(raw.matrix(type_.list_size), raw.valid) if is_fixed else _vectors_of_any_dimension(raw)
    if kind in _NUMBERS:
        return pa.array(raw.numbers(_NUMBERS[kind]), type_, mask=~raw.valid)
    if kind in _MOMENTS:
        return _moment(raw, *_MOMENTS[kind]).view(type_)
    if kind is Kind.ARRAY:
        return _lists(raw.texts(), type_)
    text = _bytes(raw, pa.binary() if kind is Kind.BYTES else pa.string())
    return as_type(text, type_) if kind is Kind.DECIMAL else text


def _vectors_of_any_dimension(raw: RawColumn) -> Any:
    # The dimension precedes the numbers, and takes as many bytes as one number.
    sent = np.frombuffer(raw.data, ">f4")
    is_number = np.ones(len(sent), np.bool_)
    is_number[raw.offsets()[:-1][raw.valid] // 4] = False
    ends = np.where(raw.valid, raw.lengths // 4 - 1, 0).cumsum()
    offsets = pa.array(np.concatenate([[0], ends]), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(sent[is_number].astype(np.float32)), mask=pa.array(~raw.valid))


def _lists(texts: Sequence[str | None], type_: Any) -> Any:
    try:
        return pa.array([None if text is None else json.loads(text) for text in texts], type_)
    except _REFUSED:
        # In JSON, dates and NaN are text, and decimals have more digits than a float.
        lists = [None if text is None else json.loads(text, parse_float=str, parse_int=str) for text in texts]
    return as_type(array_of_values(lists, _of_text(type_)), type_)


def _of_text(type_: Any) -> Any:
    return pa.list_(_of_text(type_.value_type)) if pa.types.is_list(type_) else pa.string()


def array_of_values(values: Sequence[Any], type_: Any) -> Any:
    """Return Python values as an array.

    Raises:
        InvalidRow: the type cannot represent a value.
    """
    try:
        return pa.array(values, type_)
    except _REFUSED as error:
        message = f"cannot be read as {type_}: {error}."
        raise InvalidRow(message) from error


def vectors_array(matrix: Any, valid: Any) -> Any:
    """Return a float32 matrix as `FixedSizeList<float32>`, without a copy. Invalid rows are null."""
    mask = None if valid.all() else pa.array(~valid)
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), matrix.shape[1], mask=mask)


def as_type(array: Any, type_: Any) -> Any:
    """Return an array cast to a type, without loss.

    Raises:
        InvalidRow: the type cannot represent a value.
    """
    try:
        return array.cast(type_)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        message = f"cannot be read as {type_}: {error}."
        raise InvalidRow(message) from error


def plain_type(type_: Any) -> Any:
    """Return an equivalent type with a simple layout: lists for list views, values for run-end encoding."""
    if pa.types.is_run_end_encoded(type_):
        return plain_type(type_.value_type)
    if pa.types.is_list_view(type_):
        return pa.list_(type_.value_field)
    return pa.large_list(type_.value_field) if pa.types.is_large_list_view(type_) else type_


def plain(array: Any, type_: Any) -> Any:
    """Convert an array to the layout of a type from `plain_type`."""
    if pa.types.is_run_end_encoded(array.type):
        return plain(pc.run_end_decode(array), type_)
    if array.type.equals(type_):
        return array
    # A cast makes an invalid array if a view is null or sliced (pyarrow 26).
    sizes = np.where(array.is_valid(), array.sizes, 0).astype(np.int64)
    ends = sizes.cumsum()
    taken = np.repeat(np.asarray(array.offsets) - ends + sizes, sizes) + np.arange(sizes.sum())
    offsets = pa.array(np.concatenate([[0], ends]), pa.int32() if pa.types.is_list(type_) else pa.int64())
    made = pa.ListArray if pa.types.is_list(type_) else pa.LargeListArray
    return made.from_arrays(offsets, array.values.take(pa.array(taken)), type=type_, mask=array.is_null())


def _moment(raw: RawColumn, dtype: str, epoch: int) -> Any:
    numbers = raw.numbers(dtype)
    limits = np.iinfo(numbers.dtype)
    if ((numbers > limits.max - epoch) | (numbers == limits.min)).any():
        message = (
            "contains a date or time that is infinite or too far away for Arrow. Exclude these rows with a condition."
        )
        raise InvalidRow(message)
    return pa.array(numbers + numbers.dtype.type(epoch), mask=~raw.valid)


def _bytes(raw: RawColumn, type_: Any) -> Any:
    # Arrow packs null flags like a boolean array, so take the buffer of one.
    valid = None if raw.valid.all() else pa.array(raw.valid).buffers()[1]
    buffers = [valid, pa.py_buffer(raw.offsets()), pa.py_buffer(raw.data)]
    return pa.Array.from_buffers(type_, len(raw), buffers)


def stacked(values: Sequence[Any], dimension: int) -> Any:
    """Return vectors as `FixedSizeList<float32>`, with nulls for None.

    Raises:
        DimensionMismatch: a vector has another dimension.
    """
    valid = np.array([value is not None for value in values], np.bool_)
    matrix = np.zeros((len(values), dimension), np.float32)
    for row in np.flatnonzero(valid):
        matrix[row] = as_vector(values[int(row)], dimension=dimension)
    return vectors_array(matrix, valid)
