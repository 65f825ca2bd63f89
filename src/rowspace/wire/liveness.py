"""Asking a connection of the pool whether it is alive, but not one that was in use a moment ago.

SQLAlchemy's `pool_pre_ping` asks before every use, which is three round trips on asyncpg. A firewall or a failover
cuts what is idle.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["check_idle"]

_USED = "rowspace_used"


def check_idle(engine: Engine | AsyncEngine, seconds: float = 5) -> None:
    """Ask a connection before its use where it was idle for some seconds; the pool replaces one that is gone."""
    sync_engine = engine.sync_engine if isinstance(engine, AsyncEngine) else engine

    @event.listens_for(sync_engine, "checkout", insert=True)
    def check(connection: Any, record: Any, _proxy: Any) -> None:
        if monotonic() - record.info.get(_USED, monotonic()) < seconds:
            return
        try:
            alive = sync_engine.dialect.do_ping(connection)
        except sync_engine.dialect.loaded_dbapi.Error:
            alive = False
        if not alive:
            raise DisconnectionError

    @event.listens_for(sync_engine, "checkin")
    def used(_connection: Any, record: Any) -> None:
        record.info[_USED] = monotonic()
