"""Statements that bypass SQLAlchemy's execution: whether they may, how they are sent, and errors as SQLAlchemy's.

For each execution, SQLAlchemy creates a context and a result, which take about a third of the client's time for a
search. If anything listens to statements or logs them, they are executed by SQLAlchemy as usual.
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
    """Return whether event listeners or logging observe the statements of an engine or a connection."""
    return bool(
        _any_listens(source, _STATEMENTS)
        or _any_listens(source.dialect, _EXECUTIONS)
        or source.get_execution_options()
        or source.engine.logger.isEnabledFor(logging.INFO)
    )


_STATEMENTS = ("before_cursor_execute", "after_cursor_execute", "before_execute", "after_execute")
_EXECUTIONS = ("do_execute", "do_execute_no_params", "handle_error")


def _any_listens(source: Any, events: Sequence[str]) -> bool:
    # SQLAlchemy's own flag for any listener. Checking each event takes as long as converting five parameters.
    if not getattr(source, "_has_events", True) and not getattr(getattr(source, "engine", None), "_has_events", False):
        return False
    return any(getattr(source.dispatch, event) for event in events)


class Prepared:
    """A statement that is executed repeatedly: its text, and the processors of its parameters and rows.

    Args:
        dialect: the dialect of the connections that it runs on.
        statement: a statement without expanding lists, whose text depends on their length.
    """

    def __init__(self, dialect: Dialect, statement: Select[Any]) -> None:
        made: Any = statement.compile(dialect=dialect)
        self.dialect, self.text = dialect, str(made)
        #: Whether it has a fixed text; otherwise the text differs for each run.
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
        """Return the rows of the executed statement."""
        rows: Sequence[Sequence[Any]] = cursor.fetchall()
        if self._converters is None:
            codes = [column[1] for column in cursor.description]
            self._converters = _from_driver(self.dialect, self._types, codes)
        return self.converted(rows)

    @property
    def is_known(self) -> bool:
        """Whether the statement was run before, so that `converted` knows the driver's types."""
        return self._converters is not None

    def converted(self, rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        """Return the driver's rows, converted by the result processors of the columns' types."""
        return [_converted(row, self._converters) for row in rows] if self._converters else rows


_Converters = list[tuple[int, Callable[[Any], Any]]]

#: The most recent statements, so that each is prepared once.
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


#: The key under which a connection keeps an unused cursor. It is removed while in use, in case two threads share a
#: session against its rules.
_CURSOR = "rowspace_cursor"

#: A larger result is not kept, because a cursor retains its rows.
_FEW = 100

#: The attributes in which SQLAlchemy's asyncpg dialect and its cursors record the time at which they learned that a
#: table was altered. Statements prepared before are prepared again, on all connections. SQLAlchemy's
#: `PGExecutionContext_asyncpg` does the same.
_ALTERED = "_invalidate_schema_cache_asof"

#: "feature_not_supported", for a plan that no longer fits, and "internal_error", for a catalog entry that is gone.
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
        proxied: a connection of the pool.
        statement: a statement prepared for its dialect.
        parameters: the result of `Prepared.parameters`.
        keep_cursor: reuse the cursor of the previous statement on this connection; a new one has to look up how to
            read each type.
        invalidate: called with the error if the connection can no longer be used.

    Raises:
        sqlalchemy.exc.DBAPIError: as SQLAlchemy raises it, but without the parameters, which contain an embedding.
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
            # Cancelled: the state of the connection is unknown.
            invalidate(error)
        raise
    return rows


@contextmanager
def as_sqlalchemy(statement: str) -> Iterator[None]:
    """Raise a driver's error as the SQLAlchemy error of the same name, a timeout as `OperationalError`.

    asyncpg's errors have no such names: they become a `DBAPIError`, as in SQLAlchemy.
    """
    try:
        yield
    except exc.DBAPIError:
        raise
    except Exception as error:
        if sqlstate_of(error) is None:
            raise
        raise exc.DBAPIError.instance(statement, None, error, Exception) from error
