"""The sync and async sides of a database, for adapters that offer both on one object.

This module runs no event loop and no thread. A URL, and a `Database` or `AsyncDatabase` that was opened from one, have
both sides; the missing one is opened on first use. Any other connection has only its own side.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from threading import Lock
from typing import Any, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import URL, Engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from rowspace.engine import AsyncDatabase, Database, resolve_url
from rowspace.errors import ConfigurationError, mapped_errors
from rowspace.migrations import upgrade
from rowspace.wire.interrupted import interruptible, interruptible_async

__all__ = ["Connection", "Joined", "Sides"]

T = TypeVar("T")

Connection: TypeAlias = (
    str
    | URL
    | Engine
    | AsyncEngine
    | Database
    | AsyncDatabase
    | Session
    | AsyncSession
    | sessionmaker[Any]
    | async_sessionmaker[Any]
    | None
)


class Sides:
    """Provides sync and async sessions. It closes only what it opened.

    Args:
        connection: a URL; None for `ROWSPACE_DATABASE_URL` or the embedded server; an engine, a database or a session
            factory of either kind; or a live session, whose transaction remains the caller's.
        engine_args: keyword arguments for `create_engine` and `create_async_engine`; only with a URL.

    Raises:
        ConfigurationError: the connection is of another type, or `engine_args` was passed without a URL.
    """

    def __init__(self, connection: Connection, engine_args: dict[str, Any] | None = None) -> None:
        self._options: dict[str, Any] = dict(engine_args or {})
        self._url: URL | None = None
        self._sync: Any = None
        self._async: Any = None
        self._opened: Database | None = None
        # A connection belongs to the event loop that created it.
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncDatabase] = WeakKeyDictionary()
        self._opening = Lock()
        #: Whether the caller owns the transaction.
        self.joined = isinstance(connection, Session | AsyncSession)
        self._lazy = connection is None or isinstance(connection, str | URL)
        if self._lazy:
            self._url = resolve_url(connection)  # type: ignore[arg-type]
        else:
            self._take(connection)
            if engine_args:
                message = f"engine_args requires a URL, got a {type(connection).__name__}."
                raise ConfigurationError(message)

    def _take(self, given: Any) -> None:
        match given:
            case Engine():
                self._sync = Database(given)
            case AsyncEngine():
                self._async = AsyncDatabase(given)
            case Session():
                self._sync = Joined(given)
            case AsyncSession():
                self._async = _AsyncJoined(given)
            case Database():
                self._sync = given
                self._derive(given)
            case AsyncDatabase():
                self._async = given
                self._derive(given)
            case sessionmaker():
                self._sync = given
            case async_sessionmaker():
                self._async = given
            case _:
                message = (
                    "Expected a URL, an Engine or AsyncEngine, a Database or AsyncDatabase, a session factory or a "
                    f"session as the connection, got {type(given).__name__}."
                )
                raise ConfigurationError(message)

    def _derive(self, database: Database | AsyncDatabase) -> None:
        # An engine that was passed to a Database may connect in ways that its URL does not show.
        if database.opened_with is not None:
            self._lazy, self._url = True, database.engine.url
            # The execution options include the schema.
            execution = dict(database.engine.get_execution_options())
            self._options = {**database.opened_with, **({"execution_options": execution} if execution else {})}

    @property
    def sync(self) -> Any:
        """The source of sync sessions: an object with `begin()`.

        Raises:
            ConfigurationError: the connection is only async.
        """
        if self._sync is None:
            self._refuse_unless_lazy("sync", "async", "Database")
            with self._opening:
                if self._sync is None:
                    self._sync = self._opened = Database.open(self._url_for("sync"), **self._options)
        return self._sync

    @property
    def asynchronous(self) -> Any:
        """The source of async sessions in the running event loop: an object with `begin()`.

        Raises:
            ConfigurationError: the connection is only sync.
        """
        if self._async is not None:
            return self._async
        self._refuse_unless_lazy("async", "sync", "AsyncDatabase")
        loop = asyncio.get_running_loop()
        with self._opening:
            if loop not in self._by_loop:
                self._forget_dead_loops()
                self._by_loop[loop] = AsyncDatabase.open(self._url_for("async"), **self._options)
            return self._by_loop[loop]

    def run(self, work: Callable[[Session], T]) -> T:
        """Call `work` with a session in a transaction, and return its result."""
        with self.sync.begin() as session:
            return work(session)

    async def arun(self, work: Callable[[Session], T]) -> T:
        """Call `work` with a session in a transaction of the async driver, and return its result.

        SQLAlchemy runs `work` in a greenlet of this task, as it does its own code. Each round trip awaits the driver.
        """
        async with self.asynchronous.begin() as session:
            result: T = await session.run_sync(work)
            return result

    def migrate(self) -> None:
        """Bring the tables to the newest version."""
        upgrade(self._engine(self.sync))

    async def amigrate(self) -> None:
        """Bring the tables to the newest version."""
        async with self._engine(self.asynchronous).begin() as connection:
            await connection.run_sync(upgrade)

    def close(self) -> None:
        """Close the sync engine if this object opened one."""
        if self._opened is not None:
            self._opened.close()
            self._sync = self._opened = None

    async def aclose(self) -> None:
        """Close what this object opened: the sync engine, and the async engine of the running event loop."""
        self.close()
        database = self._by_loop.pop(asyncio.get_running_loop(), None)
        if database is not None:
            await database.close()

    def _forget_dead_loops(self) -> None:
        for loop in [loop for loop in self._by_loop if loop.is_closed()]:
            # Closing its connections needs the loop, so drop them.
            self._by_loop.pop(loop).engine.sync_engine.dispose(close=False)

    def _engine(self, side: Any) -> Any:
        if not isinstance(side, Database | AsyncDatabase):
            message = "Migrations require an engine. Pass a URL, an engine or a database instead of sessions."
            raise ConfigurationError(message)
        return side.engine

    def _refuse_unless_lazy(self, wanted: str, given: str, name: str) -> None:
        if not self._lazy:
            message = (
                f"This connection is only {given}, but {wanted} was requested. Pass a URL, or a database from "
                f"{name}.open(url), which can open both sides; or call the {given} methods."
            )
            raise ConfigurationError(message)

    def _url_for(self, side: str) -> URL | None:
        if self._url is None:
            return None
        other = {"sync": {"asyncpg": "psycopg"}, "async": {"psycopg2": "psycopg"}}[side]
        backend, _, driver = self._url.drivername.partition("+")
        if driver not in other:
            return self._url
        # psycopg and psycopg2 both use libpq.
        foreign = [name for name in self._url.query if driver == "asyncpg" and name not in {"host", "port"}]
        if foreign:
            message = (
                f"The {side} side of a URL for {driver} uses {other[driver]}, which does not support its options "
                f"({', '.join(foreign)}). Use a URL for psycopg, which has both sides."
            )
            raise ConfigurationError(message)
        return self._url.set(drivername=f"{backend}+{other[driver]}")


class Joined:
    """A live session as a source of sessions. Each use is a savepoint; the caller owns the transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """Yield the session, in a savepoint."""
        with mapped_errors(), interruptible(self._session.begin_nested()):
            yield self._session


class _AsyncJoined:
    """The async counterpart of `Joined`."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """Yield the session, in a savepoint."""
        with mapped_errors():
            async with interruptible_async(self._session.begin_nested()):
                yield self._session
