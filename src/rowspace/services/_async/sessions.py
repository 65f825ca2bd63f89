"""The sessions of services."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.errors import mapped_errors
from rowspace.wire.interrupted import interruptible_async

__all__ = ["AsyncSessions", "begin"]


class AsyncSessions(Protocol):
    """A source of sessions for a service: an `AsyncDatabase`, or SQLAlchemy's `async_sessionmaker`."""

    def begin(self) -> AbstractAsyncContextManager[AsyncSession]:
        """Return a context manager with a session that is committed at the end, or rolled back on an error."""


@asynccontextmanager
async def begin(sessions: AsyncSessions) -> AsyncIterator[AsyncSession]:
    """Yield a session like `AsyncDatabase.begin`; also with a sessionmaker, errors of the commit are Rowspace's."""
    with mapped_errors():
        async with interruptible_async(sessions.begin()) as session:
            yield session
