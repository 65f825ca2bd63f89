"""A statement on the driver's own cursor, for a server that has thousands of the same a second.

Between cursor and statement SQLAlchemy makes a connection, a context and a result, each of them anew: about a quarter
of what a search costs the client. What they are there for is kept: the pool and its checks, SQLAlchemy's errors, the
end of a connection that broke. Where somebody listens to the engine's statements or logs them, they run by SQLAlchemy
as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Dialect, Engine, Select
from sqlalchemy.exc import DBAPIError

__all__ = ["fetch", "fetch_kept"]

_EVENTS = ("before_execute", "after_execute", "before_cursor_execute", "after_cursor_execute")


def fetch(engine: Engine, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Any]:
    """Return the rows of a statement, without a transaction around it."""
    # Not an engine with that option: it has an event, and each statement would go by way of the events.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        return connection.execute(statement, values).all()


def fetch_kept(engine: Engine, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Any]:
    """Return the same for a statement that comes again as the same object, and whose columns need no conversion.

    Raises:
        sqlalchemy.exc.DBAPIError: as SQLAlchemy raises it.
    """
    if _observed(engine):
        return fetch(engine, statement, values)
    text, bind = _compiled(engine.dialect, statement)
    return _rows(engine, text, bind(values))


def _observed(engine: Engine) -> bool:
    """Tell whether somebody wants to see the statements, or change them."""
    listened = any(getattr(engine.dispatch, event) for event in _EVENTS)
    return bool(listened or engine.echo or engine.get_execution_options())


@lru_cache(512)
def _compiled(dialect: Dialect, statement: Select[Any]) -> tuple[str, Callable[[Mapping[str, Any]], Any]]:
    """Return the text of a statement, and what makes the driver's parameters out of values by name."""
    compiled: Any = statement.compile(dialect=dialect)
    processors = {
        name: bound.type.dialect_impl(dialect).bind_processor(dialect) or _as_it_is
        for name, bound in compiled.binds.items()
    }

    def by_name(values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: process(values[name]) for name, process in processors.items()}

    def by_position(values: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple([processors[name](values[name]) for name in compiled.positiontup])

    return str(compiled), by_position if compiled.positional else by_name


def _as_it_is(value: Any) -> Any:
    return value


def _rows(engine: Engine, text: str, parameters: Any) -> Sequence[Any]:
    proxied, dialect = engine.raw_connection(), engine.dialect
    connection: Any = proxied.dbapi_connection
    cursor = None
    try:
        dialect.set_isolation_level(connection, "AUTOCOMMIT")
        cursor = proxied.cursor()
        cursor.execute(text, parameters)
        rows = cursor.fetchall()
        cursor.close()
        dialect.reset_isolation_level(connection)
    except dialect.loaded_dbapi.Error as error:
        broken = dialect.is_disconnect(error, connection, cursor)
        proxied.invalidate(error)
        # Without the parameters: they hold an embedding.
        kind = dialect.loaded_dbapi.Error
        raise DBAPIError.instance(text, None, error, kind, connection_invalidated=broken, dialect=dialect) from error
    except BaseException as error:
        # Cancelled: nobody knows what the connection is at.
        proxied.invalidate(error)
        raise
    proxied.close()
    return rows
