"""The database that the settings of a server name, for either side."""

from __future__ import annotations

from contextlib import AsyncExitStack, ExitStack
from typing import Any

from sqlalchemy import URL

from rowspace.embedded import EmbeddedServer
from rowspace.engine import resolve_url
from rowspace.integrations.rest.settings import ServerSettings

__all__ = ["database_url", "engine_options"]


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
