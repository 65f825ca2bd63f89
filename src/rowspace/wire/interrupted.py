"""Context managers whose exit may fail after an interruption: the interruption is then what is raised.

A task that is cancelled, or a program that is stopped by Ctrl-C, may lose its connection: psycopg closes one whose
query it could not cancel in peace. The rollback fails then, and its error would hide the interruption from whoever
caused it, such as `asyncio.timeout`.
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
    """Do the same with an async context manager."""
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
