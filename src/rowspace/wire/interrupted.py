"""Context managers whose exit may fail after an error of their block: the block's error is then what is raised.

A task that is cancelled, or a program that is stopped by Ctrl-C, may lose its connection: psycopg closes one whose
query it could not cancel in peace, and leaves one busy where something else interrupts it, such as the time limit of a
task queue or gevent's. The rollback fails then, and its error would hide the interruption from whoever caused it, such
as `asyncio.timeout`.
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
    """Do the same with an async context manager."""
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
