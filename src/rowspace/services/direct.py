"""Statements without a transaction around them, for who has thousands of the same a second; see `lanes`.

What SQLAlchemy is there for is kept: the pool and its checks, its errors, the end of a connection that broke.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, Select
from sqlalchemy.pool import PoolProxiedConnection

__all__ = ["fetch", "shut", "without_transactions"]


def fetch(engine: Engine, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Any]:
    """Return the rows of a statement, without a transaction around it."""
    # Not an engine with that option: it has an event, and each statement would go by way of the events.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        return connection.execute(statement, values).all()


def without_transactions(engine: Engine) -> PoolProxiedConnection:
    """Return a connection of the pool's on which each statement stands for itself; `shut` gives it back."""
    proxied = engine.raw_connection()
    connection: Any = proxied.dbapi_connection
    # Not by the dialect's isolation levels, which set what stays the same too.
    proxied.info[_TRANSACTIONS] = not connection.autocommit
    return _switch(proxied, autocommit=True)


def shut(proxied: PoolProxiedConnection) -> None:
    """Give a connection back to the pool as it was, unless it was said to be broken."""
    if proxied.is_valid:
        _switch(proxied, autocommit=False)
    proxied.close()


#: Where a connection notes that it has transactions when it is not `without_transactions`.
_TRANSACTIONS = "rowspace_transactions"


def _switch(proxied: PoolProxiedConnection, *, autocommit: bool) -> PoolProxiedConnection:
    connection: Any = proxied.dbapi_connection
    try:
        if proxied.info[_TRANSACTIONS]:
            connection.autocommit = autocommit
    except BaseException as error:
        proxied.invalidate(error)
        raise
    return proxied
