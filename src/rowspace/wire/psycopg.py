"""Binary parameters for psycopg, and caches for descriptions of results and for timestamps.

A parameter needs no OID: PostgreSQL gives an untyped binary parameter the type of its context
(`embedding <=> $1::vector`) and calls that type's receive function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import AsyncCursor, Column, Cursor, pq
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Dumper, Loader, PyFormat

__all__ = ["AsyncWireCursor", "TimestampLoader", "VectorDumper", "WireCursor", "WireValue", "adapting", "prepare"]

Columns = list[Column]

#: Descriptions of results by shape, for each connection, because OIDs of types differ between databases.
_DESCRIBED: WeakKeyDictionary[Any, dict[tuple[Any, ...], Columns]] = WeakKeyDictionary()


class WireValue:
    """A parameter in binary form, such as a vector.

    Args:
        data: the binary form.
        text: returns the text form, which psycopg needs inside an array.
    """

    __slots__ = ("data", "text")

    def __init__(self, data: bytes, text: Callable[[], str]) -> None:
        self.data = data
        self.text = text

    def __repr__(self) -> str:
        return f"<{len(self.data)} bytes in binary>"


class VectorDumper(Dumper):
    """Dump a `WireValue` in binary."""

    format = pq.Format.BINARY

    def dump(self, obj: WireValue) -> Buffer:
        """Return the bytes."""
        return obj.data


class TextVectorDumper(Dumper):
    """Dump a `WireValue` as text, which psycopg uses for the elements of an array of a type without OID."""

    def dump(self, obj: WireValue) -> Buffer:
        """Return the text."""
        return obj.text().encode()


class TimestampLoader(Loader):
    """Load a `timestamptz` like psycopg, with a cache, since rows of one load share their timestamps.

    Parsing took 2.6 microseconds each, as long as the rest of a row.
    """

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        self._known: dict[bytes, Any] = {}
        self._zone: bytes | None = None
        self._read: Callable[[Buffer], Any] | None = None

    def load(self, data: Buffer) -> Any:
        """Return the datetime, in the time zone of the session."""
        # psycopg's loader keeps the time zone of its creation; a cached one may be used under another.
        zone = self.connection.pgconn.parameter_status(b"TimeZone") if self.connection else None
        if self._read is None or zone != self._zone:
            self._zone, self._known, self._read = zone, {}, _psycopgs_loader()(self.oid, self.connection).load
        text = bytes(data)
        known = self._known.get(text)
        if known is None:
            if len(self._known) >= _MOMENTS:
                self._known.clear()
            known = self._known[text] = self._read(text)
        return known


class WireCursor(Cursor[Any]):
    """A cursor that caches the description of results, for which SQLAlchemy asks each time."""

    @property
    def description(self) -> Columns | None:
        """Return the description of psycopg's cursor."""
        return _described(self, lambda: super(WireCursor, self).description)


class AsyncWireCursor(AsyncCursor[Any]):
    """A caching cursor for async connections."""

    @property
    def description(self) -> Columns | None:
        """Return the description of psycopg's cursor."""
        return _described(self, lambda: super(AsyncWireCursor, self).description)


def prepare(connection: Any) -> None:
    """Register the dumper on a psycopg connection, and the loader and the cursor class unless others are set."""
    _register_dumpers(connection)
    if connection.adapters.get_loader(_TIMESTAMPTZ, pq.Format.TEXT) is _psycopgs_loader():
        connection.adapters.register_loader(_TIMESTAMPTZ, TimestampLoader)
    connection.cursor_factory = _CURSORS.get(connection.cursor_factory, connection.cursor_factory)


def adapting(execute: Callable[..., Any]) -> Callable[..., Any]:
    """Return a `do_execute` of a dialect that also prepares connections that were in use when their engine was."""

    def run(cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        try:
            execute(cursor, statement, parameters, context)
        except psycopg.ProgrammingError as error:
            driver = getattr(cursor, "_cursor", cursor)
            if error.sqlstate is not None or _takes_wire_values(driver):
                raise
            # A parameter was refused here, and nothing was sent.
            _register_dumpers(driver.connection)
            _register_dumpers(driver)
            execute(cursor, statement, parameters, context)

    return run


def _takes_wire_values(cursor: Any) -> bool:
    try:
        cursor.adapters.get_dumper(WireValue, PyFormat.AUTO)
    except psycopg.ProgrammingError:
        return False
    return True


def _register_dumpers(on: Any) -> None:
    on.adapters.register_dumper(WireValue, TextVectorDumper)
    # psycopg uses the last registered one if both formats are possible.
    on.adapters.register_dumper(WireValue, VectorDumper)


_TIMESTAMPTZ = psycopg.adapters.types["timestamptz"].oid


def _psycopgs_loader() -> Any:
    return psycopg.adapters.get_loader(_TIMESTAMPTZ, pq.Format.TEXT)


_CURSORS: dict[Any, type[Any]] = {Cursor: WireCursor, AsyncCursor: AsyncWireCursor}


def _described(cursor: Cursor[Any] | AsyncCursor[Any], describe: Callable[[], Columns | None]) -> Columns | None:
    result = cursor.pgresult
    if not result or not result.nfields:
        return describe()
    # Creating the columns each time took 10 to 20 of the 240 microseconds of a search on the client.
    known = _DESCRIBED.setdefault(cursor.connection, {})
    shape = tuple([(result.fname(at), result.ftype(at), result.fmod(at)) for at in range(result.nfields)])
    columns = known.get(shape)
    if columns is None:
        if len(known) >= _SHAPES:
            known.clear()
        columns = known[shape] = describe() or []
    return [*columns]


#: The number of cached shapes per connection, and of timestamps per cursor.
_SHAPES, _MOMENTS = 256, 4_096
