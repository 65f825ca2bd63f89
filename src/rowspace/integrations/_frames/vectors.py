"""Vectors in Arrow arrays: convert them to a matrix, or report the rows that are invalid."""

from __future__ import annotations

from typing import Any

import numpy as np

from rowspace._optional import require
from rowspace.errors import DimensionMismatch, InvalidVector
from rowspace.integrations._frames.values import is_list
from rowspace.vectors import fault_of, sound_rows

__all__ = ["check_vector_type", "is_numbers", "sound_vectors", "vectors_of"]

pa: Any = require("pyarrow", extra="arrow")


def check_vector_type(name: str, type_: Any, dimension: int | None) -> None:
    """Check the type of a vector column. A column of nulls passes.

    Raises:
        InvalidVector, DimensionMismatch: the type is not a list of numbers, or its fixed size is another dimension.
    """
    if pa.types.is_null(type_):
        return
    if not is_numbers(type_):
        message = f"The column {name!r} is {type_}, expected FixedSizeList<float32> or lists of numbers."
        raise InvalidVector(message)
    kind = getattr(type_, "storage_type", type_)
    if pa.types.is_fixed_size_list(kind) and dimension is not None and kind.list_size != dimension:
        message = f"The column {name!r} has vectors of {kind.list_size} dimensions, expected {dimension}."
        raise DimensionMismatch(message)


def is_numbers(type_: Any) -> bool:
    """Return whether a type is any kind of list of any kind of number."""
    check, kind = pa.types, getattr(type_, "storage_type", type_)
    # Two-dimensional tensors are stored as lists too, row by row.
    is_flat = len(getattr(type_, "shape", "n")) == 1
    return bool(is_list(kind) and is_flat and (check.is_floating(kind.value_type) or check.is_integer(kind.value_type)))


def vectors_of(array: Any, dimension: int | None = None, number: int = 0, name: str = "embedding") -> Any:
    """Return the vectors of a list array as the rows of a matrix, or as a list with None for nulls.

    Args:
        array: an array of lists of numbers.
        dimension: the length of a vector; by default that of the first one.
        number: the number of the first row, for messages.
        name: the name of the column, for messages.

    Raises:
        InvalidVector, DimensionMismatch: a row is invalid, and the message names it; or the type is invalid.
    """
    vectors, errors = sound_vectors(array, dimension, name)
    if errors:
        at = min(errors)
        message = f"Row {number + at}: {errors[at]}"
        raise type(errors[at])(message) from errors[at]
    return vectors


def sound_vectors(
    array: Any, dimension: int | None = None, name: str = "embedding"
) -> tuple[Any, dict[int, InvalidVector]]:
    """Return the vectors of a list array, and the errors of invalid rows by position.

    The vectors are a matrix, or, if rows are null or invalid, a list with None for these.

    Raises:
        InvalidVector, DimensionMismatch: the type is not a list of numbers, or its fixed size is another dimension.
    """
    array = getattr(array, "storage", array)
    check_vector_type(name, array.type, dimension)
    if pa.types.is_null(array.type):
        return [None] * len(array), {}
    valid = ~array.is_null().to_numpy(zero_copy_only=False)
    sizes = np.where(valid, _sizes(array), -1)
    known = dimension or next((int(size) for size in sizes if size > 0), None)
    fits = sizes == known
    present = array if fits.all() else array.filter(pa.array(fits))
    # A null inside a vector becomes NaN.
    matrix, unsound = sound_rows(present.flatten().to_numpy(zero_copy_only=False).reshape(-1, known or 1))
    if fits.all() and not unsound:
        return matrix, {}
    wrong = [*np.flatnonzero(valid & ~fits), *np.flatnonzero(fits)[unsound]]
    faults = {int(at): fault_of(array[int(at)].as_py(), dimension=known) for at in wrong}
    rows = iter(matrix)
    vectors = [next(rows) if there else None for there in fits]
    for at in faults:
        vectors[at] = None
    return vectors, {at: fault for at, fault in faults.items() if fault is not None}


def _sizes(array: Any) -> Any:
    if pa.types.is_fixed_size_list(array.type):
        return np.full(len(array), array.type.list_size)
    return np.diff(array.offsets.to_numpy())
