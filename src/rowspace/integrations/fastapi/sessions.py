"""One session per request, for your own endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.engine import AsyncDatabase
from rowspace.integrations.rest.databases import checked_database

__all__ = ["session_of"]


def session_of(database: AsyncDatabase) -> Any:
    """Return a dependency with one session per request. It commits when the endpoint returns, and rolls back on errors.

    `Session = Annotated[AsyncSession, session_of(database)]`. It commits before the response is sent, so a failed
    commit is an error of the request. Several uses in a request share the session. To replace it in a test, override
    its `dependency`.

    Raises:
        ConfigurationError: `database` is not an `AsyncDatabase`.
    """
    checked_database(database, AsyncDatabase)

    async def session() -> AsyncIterator[AsyncSession]:
        async with database.begin() as opened:
            yield opened

    return Depends(session, scope="function")
