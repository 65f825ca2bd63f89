"""What an UPDATE by SQLAlchemy sets by itself, the `onupdate` of columns, for statements that are written as text."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql

from rowspace.errors import ConfigurationError
from rowspace.repositories.schemas import Schemas
from rowspace.wire.encode import literal_of

__all__ = ["touched"]


def touched(table: Table, loaded: Collection[str], schemas: Schemas) -> Iterator[tuple[str, str]]:
    """Yield the columns of a table, without those that are loaded, that an update sets by itself, and to what, as SQL.

    Raises:
        ConfigurationError: it is a function that fails outside of a statement of SQLAlchemy's.
    """
    for column in table.columns:
        if column.onupdate is not None and column.name not in loaded:
            yield column.name, _expression(column, column.onupdate, schemas)


def _expression(column: Column[Any], default: Any, schemas: Schemas) -> str:
    if default.is_clause_element or default.is_sequence:
        expression = default.next_value() if default.is_sequence else default.arg
        dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
        return str(expression.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    return literal_of(column, _value(column, default), schemas=schemas)


def _value(column: Column[Any], default: Any) -> Any:
    if not default.is_callable:
        return default.arg
    try:
        # SQLAlchemy has made it take the context of a statement, of which there is none.
        return default.arg(None)
    except Exception as error:
        message = (
            f"The onupdate of {column} needs a statement of SQLAlchemy's: {error}. "
            "Bring the attribute in the rows of the load, or take the session's own statements."
        )
        raise ConfigurationError(message) from error
