"""A turn for each search: as many at once as the pool keeps connections.

Who waits in SQLAlchemy's async pool is overtaken by whoever comes as a connection is returned, and goes to the end of
the queue again: with 64 callers on 20 connections one in a hundred waited nine times as long as half of them.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from types import TracebackType
from typing import Any

from sqlalchemy.exc import TimeoutError as PoolTimeout

__all__ = ["AsyncSlots", "Slots"]


class AsyncSlots:
    """Turns in the order in which they are asked for, each within the time that the pool gives.

    Args:
        pool: an async engine's; one without a size has no end of turns.
    """

    def __init__(self, pool: Any) -> None:
        sized = hasattr(pool, "size") and hasattr(pool, "timeout")
        self._turns = asyncio.Semaphore(pool.size()) if sized and pool.size() else None
        self._seconds: float | None = pool.timeout() if sized else None

    async def __aenter__(self) -> None:
        """Wait for a turn.

        Raises:
            sqlalchemy.exc.TimeoutError: none came in time, as where the pool is exhausted.
        """
        if self._turns is None:
            return
        try:
            async with asyncio.timeout(self._seconds) if self._turns.locked() else nullcontext():
                await self._turns.acquire()
        except TimeoutError as error:
            message = f"No connection of the pool came free within {self._seconds:g} seconds."
            raise PoolTimeout(message) from error

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Give the turn to the next."""
        if self._turns is not None:
            self._turns.release()


class Slots:
    """Nothing: threads wait in the pool, in their order."""

    def __init__(self, pool: Any) -> None:
        """Take the pool that they wait in."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End."""
