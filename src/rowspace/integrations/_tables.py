"""Documents from files that are tables and not lines: Parquet, and a matrix of NumPy's with its documents beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from rowspace.errors import InvalidRow, InvalidVector
from rowspace.vectors import as_matrix

if TYPE_CHECKING:
    from rowspace.integrations._reading import Fields

__all__ = ["matrix_rows", "parquet_rows", "path_of"]

_ROWS_AT_ONCE = 2_000

#: A row's number from 1, its values, and its vector if that is not among them.
Row = tuple[int, dict[str, Any], Any]


def path_of(file: BinaryIO) -> Path:
    """Return the path of an open file.

    Raises:
        InvalidRow: it is a pipe.
    """
    name = getattr(file, "name", None)
    if not file.seekable() or not isinstance(name, str) or not Path(name).is_file():
        message = "this format is read from a file, not from a pipe."
        raise InvalidRow(message)
    return Path(name)


def parquet_rows(file: BinaryIO, fields: Fields) -> Iterator[Row]:
    """Yield the rows of a Parquet file, part by part; nulls are left out.

    Raises:
        InvalidRow: it is no such file, or its vectors are none; the message names the row.
        MissingExtra: the extra `arrow` is not installed.
    """
    from rowspace._optional import require

    parquet: Any = require("pyarrow.parquet", extra="arrow")
    arrow: Any = require("pyarrow", extra="arrow")
    from rowspace.integrations._rows import plain_values
    from rowspace.integrations.arrow import parquet_batches

    try:
        with parquet.ParquetFile(path_of(file)) as table:
            number = 0
            for batch in parquet_batches(table, _ROWS_AT_ONCE):
                vectors = _vectors(batch, fields, number)
                names = [name for name in batch.schema.names if name != fields.embedding]
                columns = [plain_values(batch, name) for name in names]
                for at, values in enumerate(zip(*columns, strict=True)):
                    row = {name: value for name, value in zip(names, values, strict=True) if value is not None}
                    yield number + at + 1, row, None if vectors is None else vectors[at]
                number += len(batch)
    except (arrow.ArrowInvalid, OSError) as error:
        message = f"not a Parquet file: {error}."
        raise InvalidRow(message) from error


def _vectors(batch: Any, fields: Fields, number: int) -> Any:
    from rowspace.integrations._rows import vectors_of

    if fields.embedding is None:
        return None
    if fields.embedding not in batch.schema.names:
        message = f"there is no {fields.embedding!r}, only {', '.join(batch.schema.names)}. "
        raise InvalidRow(message + "Name the field: --embedding FIELD.")
    column = batch.column(fields.embedding)
    if column.null_count:
        message = f"rows from {number + 1}: {fields.embedding!r} is null in {column.null_count} of them."
        raise InvalidRow(message)
    try:
        return vectors_of(column, fields.dimension, number + 1)
    except InvalidVector as error:
        raise InvalidRow(str(error)) from error


def matrix_rows(file: BinaryIO, documents: Iterator[tuple[int, dict[str, Any]]], fields: Fields) -> Iterator[Row]:
    """Yield documents with the rows of a matrix as their vectors.

    Raises:
        InvalidRow: it is no matrix of numbers, or has another number of rows than there are documents.
    """
    try:
        # Not read into memory as a whole. allow_pickle is off: a file from elsewhere may run no code.
        matrix = np.load(path_of(file), mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        message = f"not a matrix in NumPy's format: {error}."
        raise InvalidRow(message) from error
    if matrix.ndim != 2 or (fields.dimension is not None and matrix.shape[1] != fields.dimension):
        wanted = "n" if fields.dimension is None else fields.dimension
        message = f"expected a matrix of shape (rows, {wanted}), got one of {matrix.shape}."
        raise InvalidRow(message)
    rows = 0
    for start in range(0, len(matrix), _ROWS_AT_ONCE):
        try:
            block = as_matrix(np.asarray(matrix[start : start + _ROWS_AT_ONCE]))
        except InvalidVector as error:
            message = f"rows from {start + 1}: {error}"
            raise InvalidRow(message) from error
        for vector, (number, row) in zip(block, documents, strict=False):
            rows += 1
            yield number, row, vector
    if rows != len(matrix) or next(documents, None) is not None:
        message = f"the matrix has {len(matrix)} rows, and there are {'fewer' if rows < len(matrix) else 'more'} ids."
        raise InvalidRow(message)
