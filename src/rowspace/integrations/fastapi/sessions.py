"""A session a request, for endpoints of one's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.engine import AsyncDatabase
from rowspace.integrations.rest.databases import checked_database

__all__ = ["session_of"]


def session_of(database: AsyncDatabase) -> Any:
    """Return a dependency: one session a request, committed when the endpoint returns, rolled back when it raises.

    `Session = Annotated[AsyncSession, session_of(database)]`. The commit comes before the answer is sent, so that a
    commit that fails is an error of the request. Whoever asks twice in one request gets the same session. A test
    overrides what is its `dependency`.

    Raises:
        ConfigurationError: it is no `AsyncDatabase`.
    """
    checked_database(database, AsyncDatabase)

    async def session() -> AsyncIterator[AsyncSession]:
        async with database.begin() as opened:
            yield opened

    return Depends(session, scope="function")
