"""A session that gives its connection back, or up, even where it is closed in the middle of something.

A block may end while another of its tasks still waits for the server, as by `asyncio.gather`, which lets the others go
on where one fails. SQLAlchemy's own session then leaves the connection to the garbage collector.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.exc import IllegalStateChangeError
from sqlalchemy.orm import Session

from rowspace.errors import ConfigurationError

__all__ = ["ClosingSession"]


class ClosingSession(Session):
    """SQLAlchemy's session, but for `close`."""

    def close(self) -> None:
        """Close the session; where its connection cannot roll back, that is closed too."""
        transaction = self.get_transaction()
        try:
            super().close()
        except IllegalStateChangeError:
            # Another task or thread waits for a connection, which nobody would give back.
            event.listen(self, "after_begin", _refuse)
            raise
        except Exception:
            if transaction is not None:
                transaction.close(invalidate=True)
            raise


def _refuse(_session: Session, _transaction: Any, connection: Connection) -> None:
    connection.close()
    message = "The session has ended while this task or thread waited for its connection: each needs one of its own."
    raise ConfigurationError(message)
