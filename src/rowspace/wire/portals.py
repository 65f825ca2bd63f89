"""The server-side cursor of a stream: closes it with the stream, which SQLAlchemy does not do on asyncpg.

If it stays open until the transaction ends, the server keeps the rows that it sorted for it, and no table or index that
it reads from can be dropped or created.

After that it must not be used: the connection may be in the transaction of somebody else by then, whom an error about
a cursor that is not there costs the transaction.
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
        """Whether there is a connection, and nobody else is using it.

        A loop that was left by `break` is finalized by another task, concurrently with the next statement; a cancelled
        task must not wait for the server.
        """
        is_mine = self.task is not None and self.task is asyncio.current_task() and not self.task.cancelling()
        return is_mine and not self.cursor._connection.is_closed()  # noqa: SLF001 -- as below


def cursor_of(rows: Any) -> Any:
    """Return the driver's cursor behind a started result."""
    result = getattr(rows, "_real_result", None) or rows
    # A result of the ORM is made of one of the cursor.
    adapted = getattr(getattr(result, "raw", None) or result, "cursor", None)
    return getattr(adapted, "_cursor", adapted)


def portal_of(rows: Any) -> Portal | None:
    """Return the cursor behind a started result, on asyncpg; other drivers close theirs."""
    cursor = cursor_of(rows)
    return Portal(cursor, asyncio.current_task()) if hasattr(cursor, "_close_portal") else None


def forget(cursor: Any) -> None:
    """Let go of a cursor that went with its transaction, without a word to the server."""
    # psycopg warns of one that is not closed, and its `close` talks to the server.
    if hasattr(cursor, "_close"):
        cursor._close()  # noqa: SLF001 -- there is no other way


def close_portal(portal: Portal | None) -> None:
    """Close a cursor, in a greenlet of SQLAlchemy; one that may not be closed lasts until the transaction ends."""
    if portal is None or not portal.may_be_closed:
        return
    await_only(portal.cursor._close_portal(None))  # noqa: SLF001 -- there is no other way
