"""Context managers that raise the error of their block even if their exit fails too.

When a task is cancelled or Ctrl-C stops a program, its connection may be lost: psycopg closes a connection if it is
interrupted again while it cancels the query. Other interruptions, such as the time limit of a task queue or of gevent,
leave the connection busy. The rollback then fails, and its error would hide the interruption from its source, such as
`asyncio.timeout`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import TypeVar

__all__ = ["interruptible", "interruptible_async"]

T = TypeVar("T")


@contextmanager
def interruptible(context: AbstractContextManager[T]) -> Iterator[T]:
    """Enter a context manager; raise an error of the block even if the exit fails."""
    first: BaseException | None = None
    try:
        with context as entered:
            try:
                yield entered
            except BaseException as error:
                first = error
                raise
    except Exception as error:
        _raise_first(first, error)
        raise


@asynccontextmanager
async def interruptible_async(context: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    """Enter an async context manager; see `interruptible`."""
    first: BaseException | None = None
    try:
        async with context as entered:
            try:
                yield entered
            except BaseException as error:
                first = error
                raise
    except Exception as error:
        _raise_first(first, error)
        raise


def _raise_first(first: BaseException | None, error: Exception) -> None:
    if first is not None and first is not error:
        raise first
