"""A session that returns or closes its connection even if another task or thread is using it.

A block can end while another of its tasks still waits for the server: if one task of `asyncio.gather` fails, the others
continue. SQLAlchemy's session would then leave the connection to the garbage collector.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.exc import IllegalStateChangeError
from sqlalchemy.orm import Session

from rowspace.errors import ConfigurationError

__all__ = ["ClosingSession"]


class ClosingSession(Session):
    """SQLAlchemy's session with another `close`."""

    def close(self) -> None:
        """Close the session, and also its connection if that cannot roll back."""
        transaction = self.get_transaction()
        try:
            super().close()
        except IllegalStateChangeError:
            # Another task or thread waits for a connection, which would never be returned.
            event.listen(self, "after_begin", _refuse)
            raise
        except Exception:
            if transaction is not None:
                transaction.close(invalidate=True)
            raise


def _refuse(_session: Session, _transaction: Any, connection: Connection) -> None:
    connection.close()
    message = "The session ended while this task or thread waited for its connection. Give each its own session."
    raise ConfigurationError(message)
