"""The binary stream of `COPY ... TO STDOUT (FORMAT BINARY)` as keys and one float32 matrix.

Each row has its vector first, at a fixed offset, and then its key columns. Format: PostgreSQL manual, COPY, "Binary
Format".
"""

from __future__ import annotations

import datetime as dt
import math
import struct
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import types
from sqlalchemy.dialects import postgresql

from rowspace.errors import DimensionMismatch, InvalidRow, RowspaceError
from rowspace.types import on_postgresql

__all__ = ["MatrixDecoder", "StreamDecoder", "key_decoder"]

_TRAILER = b"\xff\xff"
_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_HEADER = 19
#: The number of rows to compare at once, and the number of equal ones below which slicing does not pay.
_ALIKE_AT_ONCE, _FEW = 1_024, 8
_LENGTH = struct.Struct(">i").unpack_from

Decode = Callable[[bytes], Any]


def key_decoder(type_: types.TypeEngine[Any], *, endless: bool = False) -> Decode | None:
    """Return the decoder of a key of a column type, or None for a type that must be read as text.

    With `endless`, infinite dates and times become Python's first and last ones, as in asyncpg; otherwise the decoder
    raises InvalidRow for them.
    """
    type_ = on_postgresql(type_)
    if isinstance(type_, types.Integer):
        return _integer
    if isinstance(type_, types.Uuid) and type_.native_uuid:
        return lambda data: uuid.UUID(bytes=data)
    # In binary, because their text form depends on DateStyle, IntervalStyle and bytea_output.
    if isinstance(type_, types.Date):
        return _moment_of(dt.date(2000, 1, 1), "days", endless=endless)
    if isinstance(type_, types.DateTime):
        zone = dt.UTC if type_.timezone else None
        return _moment_of(dt.datetime(2000, 1, 1, tzinfo=zone), "microseconds", endless=endless)
    if isinstance(type_, postgresql.INTERVAL) or (isinstance(type_, types.Interval) and type_.native):
        return _span
    is_text = isinstance(type_, types.String) and not isinstance(type_, types.Enum)
    return bytes.decode if is_text else bytes if isinstance(type_, types.LargeBinary) else None


def _integer(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


def _moment_of(origin: dt.date, unit: str, *, endless: bool) -> Decode:
    def decode(data: bytes) -> Any:
        count, last = _integer(data), (1 << 8 * len(data) - 1) - 1
        if endless and count in {last, -last - 1}:
            return type(origin).max if count == last else type(origin).min
        try:
            return origin + dt.timedelta(**{unit: count})
        except OverflowError:
            message = "The key of a row is a date or time that is infinite, or outside the range of Python."
            raise InvalidRow(message) from None

    return decode


def _span(data: bytes) -> dt.timedelta:
    microseconds, days, months = struct.unpack(">qii", data)
    # As drivers do: a month has 30 days, and twelve months have 365.
    years, months = int(months / 12), int(math.fmod(months, 12))
    try:
        return dt.timedelta(days + 365 * years + 30 * months, microseconds=microseconds)
    except OverflowError:
        message = "The key of a row is an interval that is infinite, or too long for Python."
        raise InvalidRow(message) from None


class StreamDecoder:
    """Base of the decoders of a stream: the received chunks, and the header before the first row."""

    def __init__(self) -> None:
        self._chunks: list[bytes | memoryview] = []
        self._started = False
        #: Bytes that were received and not yet decoded.
        self.pending = 0

    def feed(self, chunk: bytes | memoryview) -> None:
        """Take a chunk of the stream, of any size."""
        self._chunks.append(chunk)
        self.pending += len(chunk)

    def _fed(self) -> tuple[bytes, int]:
        """Return the pending bytes, and the offset of the first row in them."""
        data = b"".join(self._chunks)
        return data, 0 if self._started else self._header(data)

    def _keep(self, rest: bytes) -> None:
        # psycopg delivers whole rows: if nothing is pending, the next chunk is not copied.
        self._chunks = [rest] if rest else []

    def _header(self, data: bytes) -> int:
        if len(data) < _HEADER:
            return 0
        if not data.startswith(_SIGNATURE):
            message = "The server did not send a binary COPY stream."
            raise RowspaceError(message)
        self._started = True
        return _HEADER


class MatrixDecoder(StreamDecoder):
    """Turns the chunks of a stream into keys and rows; an incomplete row waits for the next chunk.

    Args:
        dimension: length of a vector.
        keys: the decoders of the key columns.
        expected: number of rows to allocate memory for; more rows cost a copy.
    """

    def __init__(self, dimension: int, keys: Sequence[Decode], expected: int = 0) -> None:
        super().__init__()
        self._dimension = dimension
        self._keys = tuple(keys)
        #: The start of every row: the number of columns, the vector's length, its dimension and its unused half word.
        self._begin = struct.pack(">hihh", 1 + len(keys), 4 + 4 * dimension, dimension, 0)
        #: The number of rows to decode one by one before comparing lengths again.
        self._one_by_one = 0
        self._found: list[Any] = []
        self._matrix = _GrowingMatrix(dimension, expected)

    def feed(self, chunk: bytes | memoryview) -> None:
        """Take a chunk of the stream, of any size, and decode the complete rows.

        Raises:
            DimensionMismatch: a vector of another dimension, or none.
        """
        super().feed(chunk)
        data, at = self._fed()
        while data.startswith(self._begin, at):
            spans = self._spans(data, at)
            if spans is None:
                break
            rows, size = self._alike(data, at, spans), spans[-1][1]
            block = np.frombuffer(data, np.uint8, rows * size, at).reshape(rows, size)
            columns = [
                _values(decode, block[:, start:end]) for decode, (start, end) in zip(self._keys, spans, strict=True)
            ]
            self._found += columns[0] if len(columns) == 1 else zip(*columns, strict=True)
            self._matrix.add(np.ndarray((rows, self._dimension), ">u4", data, at + len(self._begin), (size, 4)))
            at += rows * size
        else:
            self._check_end(data, at)
        self._keep(data[at:])

    def take(self) -> tuple[list[Any], NDArray[np.float32]]:
        """Return the keys and the (rows, dimension) matrix of the rows since the last call."""
        keys, self._found, self.pending = self._found, [], len(self._chunks[0]) if self._chunks else 0
        return keys, self._matrix.take()

    def _spans(self, data: bytes, at: int) -> list[tuple[int, int]] | None:
        """Return where the keys of a row begin and end, relative to the row; None if it is incomplete."""
        spans, place = [], at + len(self._begin) + 4 * self._dimension
        for _ in self._keys:
            if place + 4 > len(data):
                return None
            start, place = place + 4, place + 4 + _LENGTH(data, place)[0]
            spans.append((start - at, place - at))
        return None if place > len(data) else spans

    def _alike(self, data: bytes, at: int, spans: Sequence[tuple[int, int]]) -> int:
        """Return the number of consecutive rows with keys of equal length, which can be sliced as a matrix.

        Numbers, UUIDs and zero-padded ids always have equal lengths. If few rows do, the next ones are decoded one by
        one, which is then faster.
        """
        if self._one_by_one:
            self._one_by_one -= 1
            return 1
        size = spans[-1][1]
        rows = min((len(data) - at) // size, _ALIKE_AT_ONCE)
        places = [*range(len(self._begin)), *(start - 4 + byte for start, _ in spans for byte in range(4))]
        heads = np.frombuffer(data, np.uint8, rows * size, at).reshape(rows, size)[:, places]
        other = (heads != heads[0]).any(axis=1)
        found = int(other.argmax()) if other.any() else rows
        if found < _FEW:
            self._one_by_one = 8 * _FEW
        return found

    def _check_end(self, data: bytes, at: int) -> None:
        """Distinguish the end of the stream and an incomplete row from a row of another dimension."""
        rest = data[at : at + len(self._begin)]
        if not self._started or rest.startswith(_TRAILER) or self._begin.startswith(rest):
            return
        length = _LENGTH(data, at + 2)[0] if len(data) >= at + 6 else None
        if length is None:
            return
        found = "none" if length < 0 else f"one of {(length - 4) // 4} dimensions"
        message = f"Expected a vector of {self._dimension} dimensions in each row, got {found}."
        raise DimensionMismatch(message)


class _GrowingMatrix:
    """Rows of float32 in one block of memory, whose unwritten part costs nothing."""

    def __init__(self, dimension: int, expected: int) -> None:
        self._shape = max(1, expected), dimension
        self._rows: NDArray[np.float32] = np.empty((0, dimension), np.float32)
        self._count = 0

    def add(self, block: NDArray[np.uint32]) -> None:
        count = self._count + len(block)
        if count > len(self._rows):
            larger = np.empty((max(count, self._shape[0], 2 * len(self._rows)), self._shape[1]), np.float32)
            larger[: self._count] = self._rows[: self._count]
            self._rows = larger
        # One pass copies the numbers into place and reverses their bytes. As integers, this takes two thirds of the
        # time that it takes as floats.
        self._rows[self._count : count].view(np.uint32)[:] = block
        self._count = count

    def take(self) -> NDArray[np.float32]:
        taken = self._rows[: self._count]
        taken = taken.copy() if 2 * self._count < len(self._rows) else taken
        self._rows, self._count = self._rows[:0], 0
        return taken


def _values(decode: Decode, column: NDArray[np.uint8]) -> list[Any]:
    """Return the rows of a matrix of bytes, each decoded."""
    data, (rows, size) = column.tobytes(), column.shape
    if decode is _integer and size in {2, 4, 8}:
        numbers: list[int] = np.frombuffer(data, f">i{size}").tolist()
        return numbers
    if decode is bytes.decode and data.isascii():
        text = data.decode()
        return [text[at : at + size] for at in range(0, rows * size, size)] if size else [""] * rows
    return [decode(data[at : at + size]) for at in range(0, rows * size, size)] if size else [decode(b"")] * rows
