"""Statements that go to the driver without SQLAlchemy: whether they may, what is sent, and its errors as SQLAlchemy's.

Between statement and rows SQLAlchemy makes a context and a result, each of them anew: about a third of what a search
costs the client. Where somebody listens to the statements or logs them, they run by SQLAlchemy as ever.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from time import time
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, Select, exc
from sqlalchemy.pool import PoolProxiedConnection

from rowspace.errors import sqlstate_of

__all__ = ["Prepared", "as_sqlalchemy", "is_observed", "prepared", "run"]


def is_observed(source: Engine | Connection) -> bool:
    """Tell whether somebody wants to see the statements of an engine or a connection, or to change them."""
    return bool(
        _any_listens(source, _STATEMENTS)
        or _any_listens(source.dialect, _EXECUTIONS)
        or source.get_execution_options()
        or source.engine.logger.isEnabledFor(logging.INFO)
    )


_STATEMENTS = ("before_cursor_execute", "after_cursor_execute", "before_execute", "after_execute")
_EXECUTIONS = ("do_execute", "do_execute_no_params", "handle_error")


def _any_listens(source: Any, events: Sequence[str]) -> bool:
    # SQLAlchemy's own sign that there was ever a listener. Asking each event costs as much as making five parameters.
    if not getattr(source, "_has_events", True) and not getattr(getattr(source, "engine", None), "_has_events", False):
        return False
    return any(getattr(source.dispatch, event) for event in events)


class Prepared:
    """A statement that comes again: its text, what makes its parameters, and what its types make of the rows.

    Args:
        dialect: of the connections that it runs on.
        statement: without lists of values, whose text is another for each length.
    """

    def __init__(self, dialect: Dialect, statement: Select[Any]) -> None:
        made: Any = statement.compile(dialect=dialect)
        self.dialect, self.text = dialect, str(made)
        #: Whether it can be run at all; else each run has a text of its own.
        self.is_fixed = not (made.post_compile_params or made.literal_execute_params)
        self._order = made.positiontup
        self._bound = [(name, bound, _to_driver(dialect, bound.type)) for bound, name in made.bind_names.items()]
        self._types = [column.type for column in statement.selected_columns]
        self._converters: _Converters | None = None

    def parameters(self, values: Mapping[str, Any]) -> Any:
        """Return the driver's parameters, a mapping or a sequence."""
        named = {}
        for name, bound, convert in self._bound:
            value = values[bound.key] if bound.required or bound.key in values else bound.effective_value
            named[name] = convert(value) if convert else value
        return [named[name] for name in self._order] if self._order else named

    def rows(self, cursor: Any) -> Sequence[Sequence[Any]]:
        """Return what the cursor holds after the statement."""
        rows: Sequence[Sequence[Any]] = cursor.fetchall()
        if self._converters is None:
            codes = [column[1] for column in cursor.description]
            self._converters = _from_driver(self.dialect, self._types, codes)
        return self.converted(rows)

    @property
    def is_known(self) -> bool:
        """Whether it was run before, so that `converted` knows what the driver gives."""
        return self._converters is not None

    def converted(self, rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        """Return rows of the driver's with the values that the types of the columns make of them."""
        return [_converted(row, self._converters) for row in rows] if self._converters else rows


_Converters = list[tuple[int, Callable[[Any], Any]]]

#: The last ones, so that a statement is prepared once.
prepared = lru_cache(512)(Prepared)


def _to_driver(dialect: Dialect, type_: Any) -> Callable[[Any], Any] | None:
    convert: Callable[[Any], Any] | None = type_.dialect_impl(dialect).bind_processor(dialect)
    return convert


def _from_driver(dialect: Dialect, types: Sequence[Any], codes: Sequence[Any]) -> _Converters:
    found = [
        type_.dialect_impl(dialect).result_processor(dialect, code) for type_, code in zip(types, codes, strict=True)
    ]
    return [(position, convert) for position, convert in enumerate(found) if convert is not None]


def _converted(row: Sequence[Any], converters: _Converters) -> Sequence[Any]:
    values = [*row]
    for position, convert in converters:
        values[position] = convert(values[position])
    return values


#: Where a connection keeps a cursor that nobody uses: whoever takes it has it alone, if two threads share a session
#: against its rules.
_CURSOR = "rowspace_cursor"

#: A cursor keeps its last rows too.
_FEW = 100

#: Where SQLAlchemy's dialect of asyncpg notes when it heard that a table was altered, and a cursor what it knows of it:
#: what was prepared before is prepared anew, on all connections. Its `PGExecutionContext_asyncpg` does the same.
_ALTERED = "_invalidate_schema_cache_asof"

#: "feature_not_supported", of a plan that no longer fits, and "internal_error", of an entry of the catalogs that went.
_OUTDATED = ("0A000", "XX000")


def run(
    proxied: PoolProxiedConnection,
    statement: Prepared,
    parameters: Any,
    *,
    keep_cursor: bool = False,
    invalidate: Callable[[BaseException], object] = lambda _: None,
) -> Sequence[Sequence[Any]]:
    """Return the rows of a statement.

    Args:
        proxied: a connection of the pool's.
        statement: prepared for its dialect.
        parameters: as the statement makes them.
        keep_cursor: use the cursor of the statement before on the same connection. A new one has to look for the way to
            read each type.
        invalidate: is called with the error where the connection can no longer be used; by default nothing is done.

    Raises:
        sqlalchemy.exc.DBAPIError: as SQLAlchemy raises it, but without the parameters: they hold an embedding.
    """
    cursor, dialect = None, statement.dialect
    kind = dialect.loaded_dbapi.Error
    try:
        cursor = proxied.info.pop(_CURSOR, None) if keep_cursor else None
        if cursor is None:
            cursor = proxied.cursor()
        if hasattr(dialect, _ALTERED):
            setattr(cursor, _ALTERED, getattr(dialect, _ALTERED))
        cursor.execute(statement.text, parameters)
        rows = statement.rows(cursor)
        if keep_cursor and len(rows) <= _FEW:
            proxied.info[_CURSOR] = cursor
    except kind as error:
        if hasattr(dialect, _ALTERED) and sqlstate_of(error) in _OUTDATED:
            setattr(dialect, _ALTERED, time())
        broken = dialect.is_disconnect(error, proxied.dbapi_connection, cursor)
        if broken:
            invalidate(error)
        raise exc.DBAPIError.instance(
            statement.text, None, error, kind, connection_invalidated=broken, dialect=dialect
        ) from error
    except BaseException as error:
        if not isinstance(error, Exception):
            # Cancelled: nobody knows what the connection is at.
            invalidate(error)
        raise
    return rows


@contextmanager
def as_sqlalchemy(statement: str) -> Iterator[None]:
    """Raise a driver's error in the SQLAlchemy class of its name, as an `OperationalError` for a timeout.

    asyncpg's errors have no such names: they are a `DBAPIError`, as they are to SQLAlchemy.
    """
    try:
        yield
    except exc.DBAPIError:
        raise
    except Exception as error:
        if sqlstate_of(error) is None:
            raise
        raise exc.DBAPIError.instance(statement, None, error, Exception) from error
