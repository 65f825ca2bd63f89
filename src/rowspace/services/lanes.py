"""Connections for thousands of searches per second: as many as the pool has, each passed on to the next waiting search.

Who waits in SQLAlchemy's async pool is overtaken by whoever comes as a connection is returned, and goes to the end of
the queue again: with 64 callers on 20 connections one in a hundred waited nine times as long as half of them. Here the
turns come in their order. While somebody waits, a connection is handed over as it is: the way through the pool and back
costs the client as much as the rest of a search. What SQLAlchemy is there for is kept: the pool and its checks, its
errors, the end of a connection that broke.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy import Engine, Select, exc
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util import greenlet_spawn

from rowspace.errors import sqlstate_of
from rowspace.repositories.driver import Prepared, as_sqlalchemy, is_observed, prepared, run
from rowspace.wire.alive import IDLE_SECONDS

__all__ = ["AsyncLanes", "Lanes"]

Rows = Sequence[Sequence[Any]]

#: Errors after which a connection cannot be used: it has ended, on a standby also by a conflict with recovery, or it
#: has a cached plan for a table that was altered, which psycopg discards only at a rollback. Source: PostgreSQL manual,
#: "PostgreSQL Error Codes", classes 08, 0A, 40 and 57.
_USELESS = ("08", "0A", "40", "57P")

#: The key under which a connection records that it has transactions outside of `_without_transactions`.
_TRANSACTIONS = "rowspace_transactions"


class _Lane(NamedTuple):
    """A connection without a transaction, and the time when it was taken out of the pool."""

    proxied: PoolProxiedConnection
    since: float


class AsyncLanes:
    """The connections of an async engine, for statements that need no transaction.

    Args:
        engine: one whose pool has no size has no end of turns.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        #: The engine of SQLAlchemy's sync side.
        self.engine = engine.sync_engine
        pool: Any = self.engine.pool
        sized = hasattr(pool, "size") and hasattr(pool, "timeout")
        #: The number of free turns; None if it is unlimited.
        self._free: int | None = (pool.size() or None) if sized else None
        self._seconds: float | None = pool.timeout() if sized else None
        self._waiting: deque[asyncio.Future[_Lane | None]] = deque()

    async def fetch(self, statement: Select[Any], values: Mapping[str, Any]) -> Rows:
        """Return the rows of a statement that comes again as the same object.

        Raises:
            sqlalchemy.exc.DBAPIError: as SQLAlchemy raises it.
            sqlalchemy.exc.TimeoutError: no turn came in time, as where the pool is exhausted.
        """
        lane = await self._turn()
        try:
            if is_observed(self.engine):
                await self._close(lane)
                lane = None
                rows: Rows = await greenlet_spawn(_fetch, self.engine, statement, values)
            else:
                lane = lane or _Lane(await greenlet_spawn(_without_transactions, self.engine), monotonic())
                rows = await _run(lane.proxied, prepared(self.engine.dialect, statement), values)
        except BaseException as error:
            # A second cancellation does not wait for it, but the turn is still returned.
            await asyncio.shield(self._break_off(lane, error))
            raise
        if lane is None or not self._hand_over(lane):
            await self._end(lane)
        return rows

    async def _turn(self) -> _Lane | None:
        """Wait for a turn, and return the connection that came with it."""
        if self._free is None:
            return None
        if self._free:
            self._free -= 1
            return None
        mine: asyncio.Future[_Lane | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        try:
            async with asyncio.timeout(self._seconds):
                return await mine
        except BaseException as error:
            if mine.done() and not mine.cancelled():
                # It came at the same moment as the timeout.
                await self._end(mine.result())
            if isinstance(error, TimeoutError):
                message = f"No connection of the pool became free within {self._seconds:g} seconds."
                raise exc.TimeoutError(message) from error
            raise

    def _hand_over(self, lane: _Lane) -> bool:
        """Pass the connection to the next waiter, unless it has bypassed the pool and its checks for too long."""
        return bool(self._waiting) and monotonic() - lane.since < IDLE_SECONDS and self._give(lane)

    async def _break_off(self, lane: _Lane | None, error: BaseException) -> None:
        try:
            if lane is not None and lane.proxied.is_valid and not isinstance(error, Exception):
                # Cancelled: the state of the connection is unknown. SQLAlchemy closes it at the first run of a
                # statement.
                await greenlet_spawn(lane.proxied.invalidate, error)
        finally:
            await self._end(lane)

    async def _end(self, lane: _Lane | None) -> None:
        """Return the connection to the pool, and pass the turn to the next waiter."""
        try:
            await self._close(lane)
        finally:
            if not self._give(None) and self._free is not None:
                self._free += 1

    def _give(self, lane: _Lane | None) -> bool:
        """Pass the turn to the next waiter, and return whether there was one."""
        while self._waiting:
            mine = self._waiting.popleft()
            if not mine.done():
                mine.set_result(lane)
                return True
        return False

    async def _close(self, lane: _Lane | None) -> None:
        if lane is not None:
            await greenlet_spawn(_shut, lane.proxied)


class Lanes:
    """The connections of an engine: threads wait in its pool, which keeps their order."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def fetch(self, statement: Select[Any], values: Mapping[str, Any]) -> Rows:
        """Return the rows of a statement that comes again as the same object.

        Raises:
            sqlalchemy.exc.DBAPIError: as SQLAlchemy raises it, its `TimeoutError` where the pool is exhausted.
        """
        if is_observed(self.engine):
            return _fetch(self.engine, statement, values)
        kept = prepared(self.engine.dialect, statement)
        parameters = kept.parameters(values)
        proxied = _without_transactions(self.engine)
        try:
            rows: Rows = run(proxied, kept, parameters)
        except BaseException as error:
            proxied.invalidate(error)
            raise
        _shut(proxied)
        return rows


async def _run(proxied: PoolProxiedConnection, statement: Prepared, values: Mapping[str, Any]) -> Rows:
    """Return the rows of a statement, from the second time on by the driver's own coroutines."""
    parameters = statement.parameters(values)
    if statement.is_known:
        try:
            return statement.converted(await _by_driver(proxied.driver_connection, statement.text, parameters))
        except Exception as error:
            sqlstate = sqlstate_of(error)
            if sqlstate is not None:
                dialect: Any = statement.dialect
                if sqlstate.startswith(_USELESS) or dialect.is_disconnect(error, proxied.dbapi_connection, None):
                    await greenlet_spawn(proxied.invalidate, error)
                with as_sqlalchemy(statement.text):
                    raise
        # For an error that is not the server's, run the statement again through SQLAlchemy, which can interpret it.
    rows: Rows = await greenlet_spawn(run, proxied, statement, parameters, invalidate=proxied.invalidate)
    return rows


async def _by_driver(connection: Any, text: str, parameters: Any) -> Rows:
    if hasattr(connection, "fetch"):
        rows: Rows = await connection.fetch(text, *parameters)
        return rows
    cursor = await connection.execute(text, parameters)
    found: Rows = await cursor.fetchall()
    return found


def _fetch(engine: Engine, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Any]:
    """Return the rows of a statement, without a transaction around it."""
    # Not an engine with that option, which adds an event, so that each statement would be dispatched to events.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        return connection.execute(statement, values).all()


def _without_transactions(engine: Engine) -> PoolProxiedConnection:
    """Return a connection of the pool that runs each statement without a transaction; `_shut` returns it."""
    proxied = engine.raw_connection()
    connection: Any = proxied.dbapi_connection
    # Not through the dialect's isolation levels, which would also set the level that does not change.
    proxied.info[_TRANSACTIONS] = not connection.autocommit
    return _switch(proxied, autocommit=True)


def _shut(proxied: PoolProxiedConnection) -> None:
    """Return a connection to the pool in its original state, unless it was invalidated."""
    if proxied.is_valid:
        _switch(proxied, autocommit=False)
    proxied.close()


def _switch(proxied: PoolProxiedConnection, *, autocommit: bool) -> PoolProxiedConnection:
    connection: Any = proxied.dbapi_connection
    try:
        if proxied.info[_TRANSACTIONS]:
            connection.autocommit = autocommit
    except BaseException as error:
        proxied.invalidate(error)
        raise
    return proxied
