"""The cursor of the server that a stream reads from: closed with it, which SQLAlchemy leaves undone on asyncpg.

Left open until the transaction ends, each keeps the rows that the server has sorted for it, and no table or index that
it reads from can be dropped or made.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from sqlalchemy.util import await_only

__all__ = ["Portal", "close_portal", "portal_of"]


@dataclass(frozen=True, slots=True)
class Portal:
    """A cursor of asyncpg's, and the task that opened it."""

    cursor: Any
    task: asyncio.Task[Any] | None

    @property
    def may_be_closed(self) -> bool:
        """Whether there is a connection, and nobody else uses it now.

        A loop that was left by `break` is ended by another task, beside the next statement; a task that is cancelled
        is not to wait for the server.
        """
        is_mine = self.task is not None and self.task is asyncio.current_task() and not self.task.cancelling()
        return is_mine and not self.cursor._connection.is_closed()  # noqa: SLF001 -- as below


def portal_of(rows: Any) -> Portal | None:
    """Return the cursor behind a result that was begun, on asyncpg; the other drivers close theirs."""
    result = getattr(rows, "_real_result", None) or rows
    # A result of the ORM is made of one of the cursor.
    adapted = getattr(getattr(result, "raw", None) or result, "cursor", None)
    cursor = getattr(adapted, "_cursor", None)
    return Portal(cursor, asyncio.current_task()) if hasattr(cursor, "_close_portal") else None


def close_portal(portal: Portal | None) -> None:
    """Close a cursor, in a greenlet of SQLAlchemy's; one that may not be closed goes with the transaction."""
    if portal is None or not portal.may_be_closed:
        return
    await_only(portal.cursor._close_portal(None))  # noqa: SLF001 -- there is no other way
