"""Check that a pooled connection is alive before it is handed out, unless it was in use a moment ago.

A ping is a round trip: on a local server as long as a search. A busy pool would pay it for every session, and learn
nothing that half a second ago was not known. HikariCP skips it likewise (`aliveBypassWindowMs`, 500 by default).

And keep connections to the process that made them: after a fork two would read each other's rows off one socket.
"""

from __future__ import annotations

import os
from time import monotonic
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError, InvalidatePoolError

__all__ = ["IDLE_SECONDS", "check_at_checkout", "keep_to_process"]

#: After this long in the pool a connection is pinged.
IDLE_SECONDS = 0.5

_RETURNED = "rowspace_returned"

_PROCESS = "rowspace_process"


def keep_to_process(engine: Engine) -> None:
    """Let a forked process make connections of its own, as the workers of `gunicorn --preload` are; call it first.

    Those of its parent are let go of without a word to the server. Source: SQLAlchemy's manual, "Using Connection
    Pools with Multiprocessing or os.fork()".
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
    """Ping connections that lay in the pool for half a second; a dead one empties the pool, and a new one comes."""
    dialect: Any = engine.dialect

    @event.listens_for(engine, "checkin")
    def note(_connection: Any, record: Any) -> None:
        record.info[_RETURNED] = monotonic()

    @event.listens_for(engine, "checkout")
    def ping(connection: Any, record: Any, _proxy: Any) -> None:
        # A connection that was just made was never returned.
        if monotonic() - record.info.get(_RETURNED, monotonic()) < IDLE_SECONDS:
            return
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error
