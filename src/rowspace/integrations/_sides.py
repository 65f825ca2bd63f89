"""The two sides of one database: sync and async, for adapters that offer both on one object.

There is no event loop and no thread here. A URL, and a `Database` or `AsyncDatabase` that was opened from one, have
both sides; the other one is opened when it is first asked for. Anything else has the side that it is.
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
    """Where sync and async sessions come from; only what was opened here is closed here.

    Args:
        connection: a URL; None for `ROWSPACE_DATABASE_URL`, else the embedded server; an engine, a database or a
            session factory of either kind; or a live session, whose transaction remains the caller's.
        engine_args: for a URL: keywords of `create_engine` and `create_async_engine`.

    Raises:
        ConfigurationError: none of these, or `engine_args` without a URL.
    """

    def __init__(self, connection: Connection, engine_args: dict[str, Any] | None = None) -> None:
        self._options: dict[str, Any] = dict(engine_args or {})
        self._url: URL | None = None
        self._sync: Any = None
        self._async: Any = None
        self._opened: Database | None = None
        # A connection belongs to the event loop that it was made in.
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncDatabase] = WeakKeyDictionary()
        self._opening = Lock()
        #: Whether the transaction is the caller's.
        self.joined = isinstance(connection, Session | AsyncSession)
        self._lazy = connection is None or isinstance(connection, str | URL)
        if self._lazy:
            self._url = resolve_url(connection)  # type: ignore[arg-type]
        else:
            self._take(connection)
            if engine_args:
                message = f"engine_args goes with a URL; the connection is a {type(connection).__name__}."
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
                    "The connection is a URL, an Engine or AsyncEngine, a Database or AsyncDatabase, a session factory "
                    f"or a session, got {type(given).__name__}."
                )
                raise ConfigurationError(message)

    def _derive(self, database: Database | AsyncDatabase) -> None:
        # An engine that was handed to a Database may connect in ways that its URL does not tell.
        if database.opened_with is not None:
            self._lazy, self._url = True, database.engine.url
            # Among them is the schema.
            execution = dict(database.engine.get_execution_options())
            self._options = {**database.opened_with, **({"execution_options": execution} if execution else {})}

    @property
    def sync(self) -> Any:
        """Where sync sessions come from: an object with `begin()`.

        Raises:
            ConfigurationError: there is only an async side.
        """
        if self._sync is None:
            self._refuse_unless_lazy("sync", "async", "Database")
            with self._opening:
                if self._sync is None:
                    self._sync = self._opened = Database.open(self._url_for("sync"), **self._options)
        return self._sync

    @property
    def asynchronous(self) -> Any:
        """Where async sessions come from, in the running event loop: an object with `begin()`.

        Raises:
            ConfigurationError: there is only a sync side.
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
        """Return what `work` makes of a session, in a transaction."""
        with self.sync.begin() as session:
            return work(session)

    async def arun(self, work: Callable[[Session], T]) -> T:
        """Return what `work` makes of a session, in a transaction of the async driver.

        SQLAlchemy runs it in a greenlet of this task, as it runs itself: each round trip awaits the driver.
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
        """Close the sync engine that was opened here, if one was."""
        if self._opened is not None:
            self._opened.close()
            self._sync = self._opened = None

    async def aclose(self) -> None:
        """Close what was opened here: the sync engine, and the async one of this event loop."""
        self.close()
        database = self._by_loop.pop(asyncio.get_running_loop(), None)
        if database is not None:
            await database.close()

    def _forget_dead_loops(self) -> None:
        for loop in [loop for loop in self._by_loop if loop.is_closed()]:
            # Its connections can no longer be closed politely: they are let go of.
            self._by_loop.pop(loop).engine.sync_engine.dispose(close=False)

    def _engine(self, side: Any) -> Any:
        if not isinstance(side, Database | AsyncDatabase):
            message = "To run the migrations takes an engine: give a URL, an engine or a database, not sessions."
            raise ConfigurationError(message)
        return side.engine

    def _refuse_unless_lazy(self, wanted: str, given: str, name: str) -> None:
        if not self._lazy:
            message = (
                f"This connection is {given} only, and {wanted} was asked for. Give the URL, or a database made by "
                f"{name}.open(url), from which both sides can be opened; or call the {given} methods."
            )
            raise ConfigurationError(message)

    def _url_for(self, side: str) -> URL | None:
        if self._url is None:
            return None
        other = {"sync": {"asyncpg": "psycopg"}, "async": {"psycopg2": "psycopg"}}[side]
        backend, _, driver = self._url.drivername.partition("+")
        if driver not in other:
            return self._url
        # psycopg and psycopg2 are both libpq.
        foreign = [name for name in self._url.query if driver == "asyncpg" and name not in {"host", "port"}]
        if foreign:
            message = (
                f"The {side} side of a URL for {driver} is opened with {other[driver]}, which does not know its "
                f"options ({', '.join(foreign)}). Give a URL for psycopg, which has both sides."
            )
            raise ConfigurationError(message)
        return self._url.set(drivername=f"{backend}+{other[driver]}")


class Joined:
    """A live session as a source of sessions: each use is a savepoint, the transaction remains the caller's."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """Yield the session, in a savepoint."""
        with mapped_errors(), interruptible(self._session.begin_nested()):
            yield self._session


class _AsyncJoined:
    """The same for an async session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """Yield the session, in a savepoint."""
        with mapped_errors():
            async with interruptible_async(self._session.begin_nested()):
                yield self._session
