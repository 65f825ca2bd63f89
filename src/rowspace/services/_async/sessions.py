"""Where services take their sessions from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.errors import mapped_errors

__all__ = ["AsyncSessions", "begin"]


class AsyncSessions(Protocol):
    """What a service takes sessions from: an `AsyncDatabase`, or an `async_sessionmaker` of SQLAlchemy's."""

    def begin(self) -> AbstractAsyncContextManager[AsyncSession]:
        """Return a context with a session that is committed at its end, or rolled back on an error."""


@asynccontextmanager
async def begin(sessions: AsyncSessions) -> AsyncIterator[AsyncSession]:
    """Yield a session as `AsyncDatabase.begin` does: the commit of one of a sessionmaker has Rowspace's errors too."""
    with mapped_errors():
        async with sessions.begin() as session:
            yield session
