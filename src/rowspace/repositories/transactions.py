"""Which transaction a session is in, and what to say where it has ended too early."""

from __future__ import annotations

from typing import Any

__all__ = ["ENDED", "transaction_of"]

ENDED = (
    "The transaction has ended in which the stream began, and with it the cursor of the server: commit or roll back "
    "after the loop, or write in another session."
)


def transaction_of(session: Any) -> Any:
    """Return the outermost transaction of a session, None where it is in none."""
    return getattr(session, "sync_session", session).get_transaction()
