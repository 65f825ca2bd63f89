"""Lend Django's own psycopg connection to SQLAlchemy, which cannot end Django's transaction through it.

SQLAlchemy gets a wrapper of the connection. Its cursors are psycopg's own, with server-side parameters and psycopg's
adapters, because Django's cursors interpolate parameters into the SQL text and read JSON as text. Django's guards,
query log and execute wrappers apply to these cursors too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache, partial
from typing import Any

import psycopg
from django.db import connections
from django.db.backends.utils import CursorDebugWrapper
from psycopg.adapt import AdaptersMap
from sqlalchemy import Connection, Engine, NullPool, create_engine

from rowspace.wire import instrument

__all__ = ["Borrowed", "borrowed"]


class Borrowed:
    """A DBAPI connection that belongs to Django.

    Args:
        wrapper: Django's `DatabaseWrapper`, connected and inside an atomic block.
    """

    #: The class of the cursors that `cursor` returns. Django's own factory creates others.
    cursor_factory: type[Any] = psycopg.Cursor

    def __init__(self, wrapper: Any) -> None:
        self.wrapper = wrapper
        self.driver: psycopg.Connection[Any] = wrapper.connection
        self.adapters = AdaptersMap(psycopg.adapters)
        #: Whether a rollback comes from the session. SQLAlchemy also rolls back when it opens and returns a connection.
        self.in_use = False
        #: Whether the session requested a rollback.
        self.rolled_back = False

    def __getattr__(self, name: str) -> Any:
        # Other attributes that SQLAlchemy uses: `info`, `closed`, `broken`, `autocommit`.
        return getattr(self.driver, name)

    def cursor(self, name: str | None = None) -> Any:
        """Return a cursor with psycopg's own parameters and adapters."""
        return BorrowedCursor(self) if name is None else BorrowedServerCursor(self, name)

    def commit(self) -> None:
        """Do nothing. The atomic block commits."""

    def rollback(self) -> None:
        """Make the atomic block roll back at its end. Until then, Django rejects every query, as after an error."""
        if self.in_use:
            self.rolled_back = True
            self.wrapper.set_rollback(True)

    def close(self) -> None:
        """Do nothing. Django closes its connection."""

    def add_notice_handler(self, handler: Any) -> None:
        """Do nothing. The handler would stay on Django's connection."""

    def run(self, execute: Any, cursor: Any, sql: Any, params: Any, *, many: bool = False) -> Any:
        """Execute a statement after Django's thread and transaction checks, inside its execute wrappers."""
        # Not when the cursor is created, because SQLAlchemy would wrap Django's errors there.
        self.wrapper.validate_thread_sharing()
        self.wrapper.validate_no_broken_transaction()

        def innermost(sql: Any, params: Any, many: bool, context: Any) -> Any:  # noqa: ARG001, FBT001 -- Django's signature
            return execute(sql, params)

        executor: Any = innermost
        for wrapper in reversed(self.wrapper.execute_wrappers):
            executor = partial(wrapper, executor)
        logged: Any = nullcontext()
        if self.wrapper.queries_logged:
            logged = CursorDebugWrapper(None, self.wrapper).debug_sql(sql, params, many=many)
        with logged:
            return executor(sql, params, many, {"connection": self.wrapper, "cursor": cursor})


class _OfBorrowed:
    """The common part of both kinds of cursor."""

    _borrowed: Borrowed

    @property
    def adapters(self) -> AdaptersMap:
        """Psycopg's adapters with those of Rowspace, instead of the connection's, which are Django's."""
        return self._borrowed.adapters

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        """Execute a statement."""
        base: Any = super()
        return self._borrowed.run(partial(base.execute, **options), self, query, params)

    def executemany(self, query: Any, params_seq: Any, **options: Any) -> Any:
        """Execute a statement once for each set of parameters."""
        base: Any = super()
        return self._borrowed.run(partial(base.executemany, **options), self, query, params_seq, many=True)


class BorrowedCursor(_OfBorrowed, psycopg.Cursor[Any]):
    """A cursor on a borrowed connection."""

    def __init__(self, borrowed: Borrowed) -> None:
        self._borrowed = borrowed
        super().__init__(borrowed.driver)


class BorrowedServerCursor(_OfBorrowed, psycopg.ServerCursor[Any]):
    """A named cursor, for results that are read in parts."""

    def __init__(self, borrowed: Borrowed, name: str) -> None:
        self._borrowed = borrowed
        super().__init__(borrowed.driver, name)


@contextmanager
def borrowed(wrapper: Any) -> Iterator[Connection]:
    """Yield a SQLAlchemy connection on Django's connection, in Django's transaction.

    If the caller rolled back, Django's innermost atomic block is marked for rollback.
    """
    connection = _engine(wrapper).connect()
    stand_in: Any = connection.connection.dbapi_connection
    try:
        connection.begin()
        stand_in.in_use = True
        yield connection
        if stand_in.rolled_back:
            # Repeat this: an atomic block in between may have consumed the mark.
            wrapper.set_rollback(True)
    finally:
        stand_in.in_use = False
        connection.close()


def _engine(wrapper: Any) -> Engine:
    settings = wrapper.settings_dict
    where = (str(settings["NAME"]), str(settings["HOST"]), str(settings["PORT"]), str(settings["USER"]))
    return _engine_of(wrapper.alias, where, str(settings["OPTIONS"].get("options", "")))


@lru_cache(64)
def _engine_of(alias: str, where: tuple[str, ...], options: str) -> Engine:  # noqa: ARG001 -- they identify the database
    """Return the engine of an alias. It holds no connections, only the statements compiled for the database."""
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: Borrowed(connections[alias]),
        poolclass=NullPool,
        use_native_hstore=False,
        hide_parameters=True,
    )
    instrument(engine)
    return engine
