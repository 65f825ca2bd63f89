"""Where services take their sessions from."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

__all__ = ["AsyncSessions"]


class AsyncSessions(Protocol):
    """What a service takes sessions from: an `AsyncDatabase`, or an `async_sessionmaker` of SQLAlchemy's."""

    def begin(self) -> AbstractAsyncContextManager[AsyncSession]:
        """Return a context with a session that is committed at its end, or rolled back on an error."""
