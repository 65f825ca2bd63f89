"""A binary parameter for psycopg that leaves the type to the server, and cursors that describe a result once.

No OID is needed: an untyped binary parameter takes the type of its context (`embedding <=> $1::vector`), and the
server calls that type's receive function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from psycopg import AsyncCursor, Column, Cursor, pq
from psycopg.abc import Buffer
from psycopg.adapt import Dumper

__all__ = ["AsyncWireCursor", "VectorDumper", "WireCursor", "WireValue", "prepare"]

Columns = list[Column]

#: What results of a shape are described as, by connection: a type has another number in each database.
_DESCRIBED: WeakKeyDictionary[Any, dict[tuple[Any, ...], Columns]] = WeakKeyDictionary()


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


class WireCursor(Cursor[Any]):
    """A cursor that describes the columns of each result, for which SQLAlchemy asks each time, once for all alike."""

    @property
    def description(self) -> Columns | None:
        """What psycopg's cursor says."""
        return _described(self, lambda: super(WireCursor, self).description)


class AsyncWireCursor(AsyncCursor[Any]):
    """The same for an async connection."""

    @property
    def description(self) -> Columns | None:
        """What psycopg's cursor says."""
        return _described(self, lambda: super(AsyncWireCursor, self).description)


def prepare(connection: Any) -> None:
    """Give a connection of psycopg the dumper, and the cursor unless it has been given another."""
    connection.adapters.register_dumper(WireValue, VectorDumper)
    connection.cursor_factory = _CURSORS.get(connection.cursor_factory, connection.cursor_factory)


_CURSORS: dict[Any, type[Any]] = {Cursor: WireCursor, AsyncCursor: AsyncWireCursor}


def _described(cursor: Cursor[Any] | AsyncCursor[Any], describe: Callable[[], Columns | None]) -> Columns | None:
    result = cursor.pgresult
    if not result or not result.nfields:
        return describe()
    # Making the columns anew took 10 to 20 of the 240 microseconds that a search cost the client.
    known = _DESCRIBED.setdefault(cursor.connection, {})
    shape = tuple([(result.fname(at), result.ftype(at), result.fmod(at)) for at in range(result.nfields)])
    columns = known.get(shape)
    if columns is None:
        if len(known) >= _SHAPES:
            known.clear()
        columns = known[shape] = describe() or []
    return [*columns]


#: Shapes that are kept for a connection.
_SHAPES = 256
