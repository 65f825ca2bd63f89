"""A binary parameter for psycopg that leaves the type to the server.

No OID is needed: an untyped binary parameter takes the type of its context (`embedding <=> $1::vector`), and the
server calls that type's receive function.
"""

from __future__ import annotations

from psycopg import pq
from psycopg.abc import Buffer
from psycopg.adapt import Dumper

__all__ = ["VectorDumper", "WireValue"]


class WireValue:
    """The binary form of a vector, a halfvec, a sparsevec or a bit string, on its way to the server."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __repr__(self) -> str:
        return f"<{len(self.data)} bytes in binary>"


class VectorDumper(Dumper):
    """Send a `WireValue` as it is."""

    format = pq.Format.BINARY

    def dump(self, obj: WireValue) -> Buffer:
        """Return the bytes."""
        return obj.data
