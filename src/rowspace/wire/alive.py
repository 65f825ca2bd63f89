"""Check that a pooled connection is alive before it is handed out, unless it was in use a moment ago.

A ping is a round trip: on a local server as long as a search. A busy pool would pay it for every session, and learn
nothing that half a second ago was not known. HikariCP skips it likewise (`aliveBypassWindowMs`, 500 by default).
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError

__all__ = ["IDLE_SECONDS", "check_at_checkout"]

#: After this long in the pool a connection is pinged.
IDLE_SECONDS = 0.5

_RETURNED = "rowspace_returned"


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
