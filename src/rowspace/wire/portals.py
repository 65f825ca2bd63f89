"""Close the server-side cursor of a stream together with the stream, which SQLAlchemy does not do on asyncpg.

While the cursor is open, the server keeps the rows that it sorted, and no table or index that it reads can be dropped
or created.

After its transaction has ended, the cursor must not be used. The connection may be in another caller's transaction by
then, and an error about a missing cursor would abort that transaction.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from sqlalchemy.util import await_only

__all__ = ["Portal", "close_portal", "cursor_of", "forget", "portal_of"]


@dataclass(frozen=True, slots=True)
class Portal:
    """A cursor of asyncpg, and the task that opened it."""

    cursor: Any
    task: asyncio.Task[Any] | None

    @property
    def may_be_closed(self) -> bool:
        """Whether the connection is open, and no other task could be using it.

        If a loop is left by `break`, another task finalizes its generator, concurrently with the next statement. A
        cancelled task must not wait for the server.
        """
        is_mine = self.task is not None and self.task is asyncio.current_task() and not self.task.cancelling()
        return is_mine and not self.cursor._connection.is_closed()  # noqa: SLF001 -- as below


def cursor_of(rows: Any) -> Any:
    """Return the driver's cursor of a started result."""
    result = getattr(rows, "_real_result", None) or rows
    # A result of the ORM wraps a result of the cursor.
    adapted = getattr(getattr(result, "raw", None) or result, "cursor", None)
    return getattr(adapted, "_cursor", adapted)


def portal_of(rows: Any) -> Portal | None:
    """Return the cursor of a started result on asyncpg; other drivers close theirs."""
    cursor = cursor_of(rows)
    return Portal(cursor, asyncio.current_task()) if hasattr(cursor, "_close_portal") else None


def forget(cursor: Any) -> None:
    """Discard a cursor whose transaction has ended, without contacting the server."""
    # psycopg warns about a cursor that is not closed, and its `close` sends a statement.
    if hasattr(cursor, "_close"):
        cursor._close()  # noqa: SLF001 -- there is no other way


def close_portal(portal: Portal | None) -> None:
    """Close a cursor, in a greenlet of SQLAlchemy; a cursor that may not be closed lasts until the transaction ends."""
    if portal is None or not portal.may_be_closed:
        return
    await_only(portal.cursor._close_portal(None))  # noqa: SLF001 -- there is no other way
