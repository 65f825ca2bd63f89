"""The database that the settings of a server name, for either side."""

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
    """Return the URL; an embedded server with a directory of its own is started, and stops with the stack.

    None stands for the embedded server of everybody, which `open` starts and `close` stops.
    """
    if settings.database_url is not None:
        return resolve_url(settings.database_url.get_secret_value())
    if settings.data_dir is None:
        return None
    server = EmbeddedServer(settings.data_dir)
    stack.callback(server.stop)
    return server.url


def checked_database(given: Any, kind: type[D]) -> D:
    """Return a database that can be served, before a request finds out that it cannot.

    Args:
        given: what somebody takes for a database.
        kind: `Database` or `AsyncDatabase`.

    Raises:
        ConfigurationError: it is of another kind.
    """
    if not isinstance(given, kind):
        name = kind.__name__
        message = f"The database is made by {name}.open(url) or {name}(engine), got {type(given).__name__}."
        raise ConfigurationError(message)
    return given


def engine_options(settings: ServerSettings) -> dict[str, Any]:
    """Return the keywords of `Database.open` and `AsyncDatabase.open`."""
    return {
        "schema": settings.database_schema,
        "pool_size": settings.pool_size,
        "max_overflow": settings.pool_overflow,
        "pool_timeout": settings.pool_timeout,
        # The connection that was used last: its server process has the caches warm, and the others may stay idle.
        "pool_use_lifo": True,
    }
