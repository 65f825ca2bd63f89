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

__all__ = ["MatrixDecoder", "key_decoder"]

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


class MatrixDecoder:
    """Turns the chunks of a stream into keys and rows, holding back what is not complete.

    Args:
        dimension: numbers a vector.
        keys: the decoders of the key columns.
    """

    def __init__(self, dimension: int, keys: Sequence[Decode]) -> None:
        self._dimension = dimension
        self._keys = tuple(keys)
        self._begin = struct.pack(">hihh", 1 + len(keys), 4 + 4 * dimension, dimension, 0)
        self._pending = bytearray()
        self._started = self.finished = False

    def feed(self, chunk: bytes | memoryview) -> None:
        """Take a chunk of the stream, of any size."""
        self._pending += chunk

    @property
    def pending(self) -> int:
        """Bytes that were fed and not yet taken."""
        return len(self._pending)

    def take(self) -> tuple[list[Any], NDArray[np.float32]]:
        """Return the keys and the (rows, dimension) matrix of the rows that are complete.

        Raises:
            DimensionMismatch: a vector of another dimension, or none.
        """
        data = bytes(self._pending)
        keys, starts, end = self._scan(data)
        self._pending = bytearray(data[end:])
        return keys, self._gather(data, starts)

    def _scan(self, data: bytes) -> tuple[list[Any], list[int], int]:
        at = self._after_header(data)
        begin, size = self._begin, len(self._begin) + 4 * self._dimension
        keys: list[Any] = []
        starts: list[int] = []
        single = self._keys[0] if len(self._keys) == 1 else None
        total = len(data)
        while at + 2 <= total and not self.finished:
            if not data.startswith(begin, at):
                if total - at >= len(begin) or data.startswith(b"\xff\xff", at):
                    self._at_end(data, at)
                break
            next_, key = self._key(data, at + size, single)
            if next_ < 0:
                break
            keys.append(key)
            starts.append(at + len(begin))
            at = next_
        return keys, starts, at

    def _key(self, data: bytes, at: int, single: Decode | None) -> tuple[int, Any]:
        """Return where the next row begins and the key, or -1 while the row is not complete."""
        parts = []
        for decode in (single,) if single else self._keys:
            if at + 4 > len(data):
                return -1, None
            length = _LENGTH(data, at)[0]
            start, at = at + 4, at + 4 + length
            if at > len(data):
                return -1, None
            parts.append(decode(data[start:at]))
        return at, parts[0] if single else tuple(parts)

    def _after_header(self, data: bytes) -> int:
        if self._started or len(data) < _HEADER:
            return 0 if self._started else len(data) * 0
        if not data.startswith(_SIGNATURE):
            message = "The server did not send a binary COPY stream."
            raise RowspaceError(message)
        self._started = True
        return _HEADER

    def _at_end(self, data: bytes, at: int) -> None:
        if data.startswith(b"\xff\xff", at):
            self.finished = True
            return
        columns, length = struct.unpack_from(">hi", data, at)
        found = "none" if length < 0 else f"{(length - 4) // 4} dimensions"
        message = f"Expected vectors of {self._dimension} dimensions, a row of {columns} columns has {found}."
        raise DimensionMismatch(message)

    def _gather(self, data: bytes, starts: list[int]) -> NDArray[np.float32]:
        out = np.empty((len(starts), self._dimension), np.float32)
        width = 4 * self._dimension
        for row, start in enumerate(starts):
            out[row] = np.frombuffer(data, ">f4", self._dimension, start)
        return out
