"""Which session is the caller's, which transaction it is in, and what to say where that has ended too early."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import async_scoped_session
from sqlalchemy.orm import scoped_session

__all__ = ["ENDED", "own_session", "synchronizing", "transaction_of"]

ENDED = (
    "The transaction has ended in which the stream began, and with it the cursor of the server: commit or roll back "
    "after the loop, or write in another session."
)


def own_session(session: Any) -> Any:
    """Return the `Session` within an async session or a scoped one, and another as it is."""
    current = session() if isinstance(session, scoped_session | async_scoped_session) else session
    return getattr(current, "sync_session", current)


def transaction_of(session: Any) -> Any:
    """Return the outermost transaction of a session, None where it is in none."""
    return own_session(session).get_transaction()


def synchronizing(session: Any, model: type[Any]) -> dict[str, Any]:
    """Return the execution options of an UPDATE or DELETE: the session's objects follow it, where it has any.

    For them SQLAlchemy has the key of each row come back: of 400,000 rows 165 MB, and more time than the server takes.
    """
    own = own_session(session)
    held = (*own.identity_map.values(), *own.new)
    return {} if any(isinstance(one, model) for one in held) else {"synchronize_session": False}
