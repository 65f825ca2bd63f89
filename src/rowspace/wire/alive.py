"""Check that a pooled connection is alive before it is used, unless it was in use a moment ago.

A ping is a round trip, which on a local server takes as long as a search. A busy pool would ping for every session, and
learn nothing new after less than half a second. HikariCP skips it too (`aliveBypassWindowMs`, 500 by default).

Also keep connections in the process that opened them: after a fork, two processes would read from one socket. And close
connections that are returned during a transaction or a query.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DisconnectionError, InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["IDLE_SECONDS", "beside_sqlalchemy", "check_at_checkout", "keep_to_process", "keep_whole"]

#: After this long in the pool a connection is pinged.
IDLE_SECONDS = 0.5

_RETURNED = "rowspace_returned"

_PROCESS = "rowspace_process"

_BESIDE = "rowspace_beside"


def keep_to_process(engine: Engine) -> None:
    """Let a forked process, such as a worker of `gunicorn --preload`, open its own connections; call it first.

    The parent's connections are discarded without closing them on the server. Source: SQLAlchemy manual, "Using
    Connection Pools with Multiprocessing or os.fork()".
    """

    @event.listens_for(engine, "connect")
    def note(_connection: Any, record: Any) -> None:
        record.info[_PROCESS] = os.getpid()

    @event.listens_for(engine, "checkout")
    def check(_connection: Any, record: Any, proxy: Any) -> None:
        if record.info[_PROCESS] != os.getpid():
            record.dbapi_connection = proxy.dbapi_connection = None
            raise DisconnectionError


def check_at_checkout(engine: Engine) -> None:
    """Ping connections that were in the pool for half a second; a dead one invalidates the pool and is replaced."""
    dialect: Any = engine.dialect

    @event.listens_for(engine, "checkin")
    def note(_connection: Any, record: Any) -> None:
        record.info[_RETURNED] = monotonic()

    @event.listens_for(engine, "checkout")
    def ping(connection: Any, record: Any, _proxy: Any) -> None:
        # A new connection was never returned to the pool.
        if monotonic() - record.info.get(_RETURNED, monotonic()) < IDLE_SECONDS:
            return
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error


def keep_whole(engine: Engine) -> None:
    """Close connections that are returned during a transaction or a query.

    This happens if the block of a session ends while another of its tasks still waits for the server: the rollback
    fails, but SQLAlchemy's adapter of asyncpg treats the transaction as ended.
    """
    is_idle = _IDLE[engine.dialect.driver]

    @event.listens_for(engine, "checkin")
    def check(connection: Any, record: Any) -> None:
        if connection is not None and (_BESIDE in record.info or not is_idle(connection)):
            record.invalidate()


@contextmanager
def beside_sqlalchemy(connection: Connection | AsyncConnection) -> Iterator[None]:
    """Mark that the block uses the driver's connection directly, perhaps after waiting for its turn.

    If the session ends meanwhile, the pool closes the connection. Otherwise, the block would continue in a transaction
    of the connection's next user.
    """
    info = getattr(connection, "sync_connection", connection).info
    info[_BESIDE] = True
    try:
        yield
    finally:
        info.pop(_BESIDE, None)


def _is_idle_psycopg(connection: Any) -> bool:
    return bool(connection.info.transaction_status == 0)


def _is_idle_asyncpg(connection: Any) -> bool:
    # The lock is held from before BEGIN until the statement after it has been executed.
    return not (connection.driver_connection.is_in_transaction() or connection._execute_mutex.locked())  # noqa: SLF001 -- there is no other way


_IDLE = {
    "psycopg": _is_idle_psycopg,
    "psycopg_async": _is_idle_psycopg,
    "psycopg2": _is_idle_psycopg,
    "asyncpg": _is_idle_asyncpg,
}
