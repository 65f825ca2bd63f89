"""The binary stream of `COPY ... TO STDOUT (FORMAT BINARY)` as columns: for each, the bytes of its values.

The reader decides how to use the bytes: NumPy converts those of numbers to arrays, Arrow uses those of texts directly.
Formats: PostgreSQL's `*send` functions, all numbers big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Column, types
from sqlalchemy.dialects import postgresql

from rowspace.errors import DimensionMismatch, RowspaceError
from rowspace.statements.identifiers import Schemas
from rowspace.statements.read import ExportColumn
from rowspace.types import HalfVector, Vector, on_postgresql, stored_type, vector_type_of
from rowspace.wire.by_sql import read_by
from rowspace.wire.decode import StreamDecoder

__all__ = ["ColumnsDecoder", "Kind", "RawColumn", "export_column", "kind_of"]

_LENGTH = struct.Struct(">i").unpack_from
_COUNT = struct.Struct(">h").unpack_from


class Kind(StrEnum):
    """The format of a column's values in the stream."""

    INT16 = "smallint"
    INT32 = "integer"
    INT64 = "bigint"
    FLOAT32 = "real"
    FLOAT64 = "double precision"
    BOOL = "boolean"
    BYTES = "bytea"
    DATE = "date"
    #: Microseconds since the year 2000, without a time zone or in UTC.
    TIMESTAMP = "timestamp"
    TIMESTAMP_UTC = "timestamptz"
    VECTOR = "vector"
    #: Text that is JSON.
    JSON = "json"
    #: The same, of an array.
    ARRAY = "array"
    #: Text that is a decimal number of known precision and scale.
    DECIMAL = "decimal"
    #: The text form of any other type.
    TEXT = "text"


_KINDS: Mapping[type[Any], Kind] = {
    types.SmallInteger: Kind.INT16,
    types.BigInteger: Kind.INT64,
    types.Integer: Kind.INT32,
    types.REAL: Kind.FLOAT32,
    types.Float: Kind.FLOAT64,
    types.Boolean: Kind.BOOL,
    types.LargeBinary: Kind.BYTES,
    postgresql.BYTEA: Kind.BYTES,
    types.Date: Kind.DATE,
    types.JSON: Kind.JSON,
    Vector: Kind.VECTOR,
    HalfVector: Kind.VECTOR,
    types.ARRAY: Kind.ARRAY,
}


def kind_of(type_: types.TypeEngine[Any]) -> Kind:
    """Return how to read a column of a type; a `TypeDecorator` receives text."""
    type_ = on_postgresql(type_)
    type_ = vector_type_of(type_) or (stored_type(type_) if isinstance(type_, postgresql.DOMAIN) else type_)
    if isinstance(type_, types.DateTime):
        return Kind.TIMESTAMP_UTC if type_.timezone else Kind.TIMESTAMP
    # Float is a subclass of Numeric, so the mapping comes first.
    found = next((kind for known, kind in _KINDS.items() if isinstance(type_, known)), None)
    if found is None and isinstance(type_, types.Numeric) and type_.precision is not None:
        return Kind.DECIMAL
    return found or Kind.TEXT


def export_column(column: Column[Any], schemas: Schemas) -> ExportColumn:
    """Return the column of an export in the format of its kind; `schemas` translates the schemas that its type names.

    Raises:
        ConfigurationError: the `column_expression` of its type has parameters of its own.
    """
    kind, type_ = kind_of(column.type), on_postgresql(column.type)
    around = read_by(column, type_, schemas) if isinstance(type_, types.TypeDecorator) else None
    as_text = kind in {Kind.JSON, Kind.ARRAY, Kind.DECIMAL}
    cast = "text" if as_text else kind.value
    return ExportColumn(str(column.name), cast, by_json=kind is Kind.ARRAY, read_by=around)


@dataclass(frozen=True, slots=True, eq=False)
class RawColumn:
    """Values of one column: the length in bytes of each, -1 for NULL, and the bytes of all."""

    lengths: NDArray[np.int64]
    data: bytes

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Which values are not NULL."""
        return self.lengths >= 0

    def offsets(self) -> NDArray[np.int32]:
        """Return the offset of each value, and the end of the last one."""
        return np.concatenate([[0], np.cumsum(np.maximum(self.lengths, 0))]).astype(np.int32)

    def numbers(self, dtype: str) -> NDArray[Any]:
        """Return the values of a big-endian dtype as an array in the machine's own order, 0 for NULL."""
        sent = np.dtype(dtype)
        out = np.zeros(len(self), sent.newbyteorder("="))
        out[self.valid] = np.frombuffer(self.data, sent)
        return out

    def matrix(self, dimension: int) -> NDArray[np.float32]:
        """Return vectors as a matrix of shape (values, dimension), with a row of zeros for NULL.

        Raises:
            DimensionMismatch: one has another dimension.
        """
        width = 4 + 4 * dimension
        wrong = self.lengths[self.valid & (self.lengths != width)]
        if len(wrong):
            message = f"Expected vectors of {dimension} dimensions, got one of {(wrong[0] - 4) // 4}."
            raise DimensionMismatch(message)
        sent = np.frombuffer(self.data, np.uint8).reshape(-1, width)[:, 4:]
        vectors = np.ascontiguousarray(sent).view(">f4").astype(np.float32)
        if self.valid.all():
            return vectors
        out = np.zeros((len(self), dimension), np.float32)
        out[self.valid] = vectors
        return out

    def texts(self) -> list[str | None]:
        """Return the values as text."""
        ends = self.offsets().tolist()
        spans = zip(self.valid.tolist(), ends[:-1], ends[1:], strict=True)
        return [self.data[start:end].decode() if valid else None for valid, start, end in spans]


class ColumnsDecoder(StreamDecoder):
    """Turns the chunks of a stream into columns; an incomplete row waits for the next chunk.

    Args:
        columns: the number of columns.
    """

    def __init__(self, columns: int) -> None:
        super().__init__()
        self._columns = columns

    def take(self) -> list[RawColumn]:
        """Return the complete rows, as one `RawColumn` per column.

        Raises:
            RowspaceError: it is not a binary COPY stream.
        """
        data, at = self._fed()
        lengths: list[list[int]] = [[] for _ in range(self._columns)]
        values: list[list[bytes]] = [[] for _ in range(self._columns)]
        while self._started and (row := self._row(data, at)):
            for column, (start, length) in enumerate(row):
                lengths[column].append(length)
                values[column].append(data[start : start + max(length, 0)])
            start, length = row[-1]
            at = start + max(length, 0)
        self._keep(data[at:])
        self.pending = len(data) - at
        columns = zip(lengths, values, strict=True)
        return [RawColumn(np.array(sizes, np.int64), b"".join(parts)) for sizes, parts in columns]

    def _row(self, data: bytes, at: int) -> list[tuple[int, int]]:
        """Return offset and length of each value of the row at a position; nothing at the end or if incomplete."""
        if at + 2 > len(data) or (count := _COUNT(data, at)[0]) < 0:
            return []
        if count != self._columns:
            message = f"Expected rows of {self._columns} columns from the server, got one of {count}."
            raise RowspaceError(message)
        at += 2
        spans = []
        for _ in range(count):
            if at + 4 > len(data):
                return []
            length = _LENGTH(data, at)[0]
            spans.append((at + 4, length))
            at += 4 + max(length, 0)
        return spans if at <= len(data) else []
