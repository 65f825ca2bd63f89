"""The database of a server's settings, sync or async."""

from __future__ import annotations

from contextlib import AsyncExitStack, ExitStack
from typing import Any, TypeVar

from sqlalchemy import URL

from rowspace.embedded import EmbeddedServer
from rowspace.engine import AsyncDatabase, Database, resolve_url
from rowspace.errors import ConfigurationError
from rowspace.integrations.rest.settings import ServerSettings

__all__ = ["checked_database", "database_url", "engine_options"]

D = TypeVar("D", Database, AsyncDatabase)


def database_url(settings: ServerSettings, stack: ExitStack | AsyncExitStack) -> URL | None:
    """Return the database URL. If the settings have a data directory, start an embedded server that stops with `stack`.

    None means the shared embedded server, which `open` starts and `close` stops.
    """
    if settings.database_url is not None:
        return resolve_url(settings.database_url.get_secret_value())
    if settings.data_dir is None:
        return None
    server = EmbeddedServer(settings.data_dir)
    stack.callback(server.stop)
    return server.url


def checked_database(given: Any, kind: type[D]) -> D:
    """Return the database, after a check of its type. Without the check, the first request would fail.

    Args:
        given: the object that the application passed as its database.
        kind: `Database` or `AsyncDatabase`.

    Raises:
        ConfigurationError: `given` is of another type.
    """
    if not isinstance(given, kind):
        name = kind.__name__
        message = f"Expected a database from {name}.open(url) or {name}(engine), got {type(given).__name__}."
        raise ConfigurationError(message)
    return given


def engine_options(settings: ServerSettings) -> dict[str, Any]:
    """Return keyword arguments for `Database.open` and `AsyncDatabase.open`."""
    return {
        "schema": settings.database_schema,
        "pool_size": settings.pool_size,
        "max_overflow": settings.pool_overflow,
        "pool_timeout": settings.pool_timeout,
        # Reuse the most recent connection: its server process has warm caches, and the others can stay idle.
        "pool_use_lifo": True,
    }
