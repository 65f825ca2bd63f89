"""The binary stream of `COPY ... TO STDOUT (FORMAT BINARY)` as keys and one float32 matrix.

Each row is its vector first and then its key columns, so that the vector stands at a fixed place. Format: PostgreSQL's
manual, COPY, "Binary Format".
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import types

from rowspace.errors import DimensionMismatch, RowspaceError

__all__ = ["MatrixDecoder", "StreamDecoder", "key_decoder"]

_TRAILER = b"\xff\xff"
_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_HEADER = 19
_LENGTH = struct.Struct(">i").unpack_from

Decode = Callable[[bytes], Any]


def key_decoder(type_: types.TypeEngine[Any]) -> Decode | None:
    """Return what decodes a key of a column type, or None for a type that must be read as text."""
    if isinstance(type_, types.Integer):
        return _integer
    if isinstance(type_, types.Uuid):
        return lambda data: uuid.UUID(bytes=data)
    return bytes.decode if isinstance(type_, types.String) and not isinstance(type_, types.Enum) else None


def _integer(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


class StreamDecoder:
    """What decoders of a stream share: the chunks that came, and the header in front of the first row."""

    def __init__(self) -> None:
        self._chunks: list[bytes | memoryview] = []
        self._started = False
        #: Bytes fed and not yet taken.
        self.pending = 0

    def feed(self, chunk: bytes | memoryview) -> None:
        """Take a chunk of the stream, of any size."""
        self._chunks.append(chunk)
        self.pending += len(chunk)

    def _fed(self) -> tuple[bytes, int]:
        """Return the bytes that wait, and where the first row begins in them."""
        data = b"".join(self._chunks)
        return data, 0 if self._started else self._header(data)

    def _hold(self, rest: bytes) -> None:
        self._chunks, self.pending = [rest], len(rest)

    def _header(self, data: bytes) -> int:
        if len(data) < _HEADER:
            return 0
        if not data.startswith(_SIGNATURE):
            message = "The server did not send a binary COPY stream."
            raise RowspaceError(message)
        self._started = True
        return _HEADER


class MatrixDecoder(StreamDecoder):
    """Turns the chunks of a stream into keys and rows, holding back what is not complete.

    Args:
        dimension: numbers a vector.
        keys: the decoders of the key columns.
    """

    def __init__(self, dimension: int, keys: Sequence[Decode]) -> None:
        super().__init__()
        self._dimension = dimension
        self._keys = tuple(keys)
        #: What every row begins with: the columns, the length of the vector, its dimension and its unused half word.
        self._begin = struct.pack(">hihh", 1 + len(keys), 4 + 4 * dimension, dimension, 0)

    def take(self) -> tuple[list[Any], NDArray[np.float32]]:
        """Return the keys and the (rows, dimension) matrix of the rows that are complete.

        Raises:
            DimensionMismatch: a vector of another dimension, or none.
        """
        data, at = self._fed()
        keys: list[Any] = []
        starts: list[int] = []
        width = len(self._begin) + 4 * self._dimension
        while data.startswith(self._begin, at):
            end, key = self._key(data, at + width)
            if end < 0:
                break
            keys.append(key)
            starts.append(at + len(self._begin))
            at = end
        else:
            self._check_end(data, at)
        self._hold(data[at:])
        return keys, self._gather(data, starts)

    def _key(self, data: bytes, at: int) -> tuple[int, Any]:
        """Return where the next row begins and the key of this one; -1 while the row is not complete."""
        parts = []
        for decode in self._keys:
            if at + 4 > len(data):
                return -1, None
            start, at = at + 4, at + 4 + _LENGTH(data, at)[0]
            if at > len(data):
                return -1, None
            parts.append(decode(data[start:at]))
        return at, parts[0] if len(parts) == 1 else tuple(parts)

    def _check_end(self, data: bytes, at: int) -> None:
        """Tell the end of the stream and a row that has not arrived from a row of another dimension."""
        rest = data[at : at + len(self._begin)]
        if not self._started or rest.startswith(_TRAILER) or self._begin.startswith(rest):
            return
        length = _LENGTH(data, at + 2)[0] if len(data) >= at + 6 else None
        if length is None:
            return
        found = "none" if length < 0 else f"one of {(length - 4) // 4} dimensions"
        message = f"Expected a vector of {self._dimension} dimensions in each row, a row has {found}."
        raise DimensionMismatch(message)

    def _gather(self, data: bytes, starts: list[int]) -> NDArray[np.float32]:
        out = np.empty((len(starts), self._dimension), np.float32)
        for row, start in enumerate(starts):
            out[row] = np.frombuffer(data, ">f4", self._dimension, start)
        return out
