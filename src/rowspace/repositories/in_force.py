"""Which settings hold already in a session's transaction, so that a search under a filter costs one round trip less."""

from __future__ import annotations

from typing import Any

from rowspace.errors import ConfigurationError
from rowspace.repositories.transactions import own_session

__all__ = ["is_autocommit", "not_in_force", "refuse_autocommit"]

#: Where it is kept in `Session.info`.
_KEY = "rowspace_settings"

# Only what Rowspace decides by itself, and where it notices that it was wrong: without an iterative scan a search comes
# back short, and rows are looked for exactly. What somebody asks for is set each time.
_REMEMBERED = "iterative_scan = relaxed_order"


def not_in_force(session: Any, model: type[Any], statements: list[str]) -> list[str]:
    """Return those of the `SET LOCAL` statements that have to be sent, and remember all of them as sent.

    A savepoint is a transaction of its own here: what is set in one is gone when it is rolled back.
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
        ConfigurationError: there are some, but for those that Rowspace decides by itself and does without.
    """
    lost = [statement for statement in statements if not statement.endswith(_REMEMBERED)]
    if lost and is_autocommit(connection):
        message = (
            f"Settings of a search hold until its transaction ends, and in AUTOCOMMIT there is none: {'; '.join(lost)} "
            "would do nothing. Search in a session with another isolation level."
        )
        raise ConfigurationError(message)


def is_autocommit(connection: Any) -> bool:
    """Return whether each statement on a connection is a transaction of its own."""
    inner: Any = getattr(connection, "sync_connection", connection)
    return bool(getattr(inner.connection.dbapi_connection, "autocommit", False))


def _name(statement: str) -> str:
    return statement.partition(" = ")[0]
