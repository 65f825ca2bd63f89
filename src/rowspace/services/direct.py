"""A statement without a transaction around it, on the driver's own cursor, for who has thousands of the same a second.

What SQLAlchemy is there for is kept: the pool and its checks, its errors, the end of a connection that broke.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, Select

from rowspace.repositories.driver import is_observed, prepared, run

__all__ = ["fetch", "fetch_kept"]


def fetch(engine: Engine, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Any]:
    """Return the rows of a statement, without a transaction around it."""
    # Not an engine with that option: it has an event, and each statement would go by way of the events.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        return connection.execute(statement, values).all()


def fetch_kept(engine: Engine, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Any]:
    """Return the same for a statement that comes again as the same object.

    Raises:
        sqlalchemy.exc.DBAPIError: as SQLAlchemy raises it.
    """
    if is_observed(engine):
        return fetch(engine, statement, values)
    dialect = engine.dialect
    kept = prepared(dialect, statement)
    parameters = kept.parameters(values)
    proxied = engine.raw_connection()
    connection: Any = proxied.dbapi_connection
    try:
        dialect.set_isolation_level(connection, "AUTOCOMMIT")
        rows = run(proxied, kept, parameters)
        dialect.reset_isolation_level(connection)
    except BaseException as error:
        proxied.invalidate(error)
        raise
    proxied.close()
    return rows
