"""A binary parameter for psycopg that leaves the type to the server.

No OID is needed: an untyped binary parameter takes the type of its context (`embedding <=> $1::vector`), and the
server calls that type's receive function.
"""

from __future__ import annotations

from typing import NoReturn

from psycopg import pq
from psycopg.abc import Buffer
from psycopg.adapt import Dumper

from rowspace.errors import ConfigurationError

__all__ = ["ArrayDumper", "VectorDumper", "WireValue"]


class WireValue:
    """The binary form of a vector, a halfvec, a sparsevec or a bit string, on its way to the server."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __repr__(self) -> str:
        return f"<{len(self.data)} bytes in binary>"


class ArrayDumper(Dumper):
    """Refuse a `WireValue` in an array, the only place where it is asked for as text."""

    def dump(self, obj: WireValue) -> NoReturn:
        """Raise an error that says what to do."""
        message = (
            f"Expected one vector for a parameter, got an array of vectors, with {obj!r} in it: psycopg cannot send it "
            "in binary. Write it with Repository.upsert(), or use asyncpg."
        )
        raise ConfigurationError(message)


class VectorDumper(Dumper):
    """Send a `WireValue` as it is."""

    format = pq.Format.BINARY

    def dump(self, obj: WireValue) -> Buffer:
        """Return the bytes."""
        return obj.data
