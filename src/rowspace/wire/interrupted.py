"""Context managers that raise an interruption of their block even if their exit fails.

When a task is cancelled or Ctrl-C stops a program, its connection may be lost: psycopg closes a connection if it is
interrupted again while it cancels the query. The rollback then fails, and its error would hide the interruption from
its source, such as `asyncio.timeout`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import TypeVar

__all__ = ["interruptible", "interruptible_async"]

T = TypeVar("T")


@contextmanager
def interruptible(context: AbstractContextManager[T]) -> Iterator[T]:
    """Enter a context manager; raise an interruption of the block even if the exit fails."""
    interruption: BaseException | None = None
    try:
        with context as entered:
            try:
                yield entered
            except BaseException as error:
                interruption = error
                raise
    except Exception:
        _raise_first(interruption)
        raise


@asynccontextmanager
async def interruptible_async(context: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    """Enter an async context manager; see `interruptible`."""
    interruption: BaseException | None = None
    try:
        async with context as entered:
            try:
                yield entered
            except BaseException as error:
                interruption = error
                raise
    except Exception:
        _raise_first(interruption)
        raise


def _raise_first(interruption: BaseException | None) -> None:
    if interruption is not None and not isinstance(interruption, Exception):
        raise interruption
