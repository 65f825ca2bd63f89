"""The settings in force in a session's transaction, so that a filtered search does not set them again."""

from __future__ import annotations

from typing import Any

from rowspace.errors import ConfigurationError
from rowspace.repositories.transactions import own_session

__all__ = ["is_autocommit", "not_in_force", "refuse_autocommit"]

#: The key in `Session.info`.
_KEY = "rowspace_settings"

# Only the setting that Rowspace chooses itself, and whose absence it detects: without an iterative scan, a search
# returns too few rows, and an exact search follows. Settings of the caller are set each time.
_REMEMBERED = "iterative_scan = relaxed_order"


def not_in_force(session: Any, model: type[Any], statements: list[str]) -> list[str]:
    """Return those of the `SET LOCAL` statements that have to be sent, and remember all of them as sent.

    A savepoint counts as a separate transaction, because rolling it back also resets its settings.
    """
    inner: Any = own_session(session)
    nested = getattr(inner, "get_nested_transaction", None)
    transaction = nested and (nested() or inner.get_transaction())
    if transaction is None:
        return statements
    of, sent = inner.info.get(_KEY, (None, {}))
    if of is not transaction:
        sent = {}
        inner.info[_KEY] = transaction, sent
    needed = [s for s in statements if not s.endswith(_REMEMBERED) or sent.get((model, _name(s))) != s]
    sent.update({(model, _name(statement)): statement for statement in needed})
    return needed


def refuse_autocommit(connection: Any, statements: list[str]) -> None:
    """Refuse settings that a connection in AUTOCOMMIT would not keep.

    Raises:
        ConfigurationError: there are some, other than those that Rowspace chooses itself and can do without.
    """
    lost = [statement for statement in statements if not statement.endswith(_REMEMBERED)]
    if lost and is_autocommit(connection):
        message = (
            f"The settings of a search last until its transaction ends. In AUTOCOMMIT mode, {'; '.join(lost)} would "
            "have no effect. Use a session with another isolation level."
        )
        raise ConfigurationError(message)


def is_autocommit(connection: Any) -> bool:
    """Return whether each statement on a connection is a separate transaction."""
    inner: Any = getattr(connection, "sync_connection", connection)
    return bool(getattr(inner.connection.dbapi_connection, "autocommit", False))


def _name(statement: str) -> str:
    return statement.partition(" = ")[0]
