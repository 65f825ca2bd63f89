"""The SQL that a column's type puts around its values, for statements written as text.

SQLAlchemy asks a type for it as it compiles a statement: `bind_expression` for what is stored, `column_expression` for
what is read. A type that encrypts in the server has both, as has a geometry.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import BindParameter, Column, ColumnElement, bindparam, literal_column
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from rowspace.errors import ConfigurationError
from rowspace.statements.identifiers import VALUE

__all__ = ["read_by", "stored_by"]


def stored_by(column: Column[Any], type_: TypeEngine[Any]) -> str | None:
    """Return the SQL of what is stored, with `VALUE` for a value, as a session sends it; None where it is the value.

    Raises:
        ConfigurationError: it has parameters of its own.
    """
    value: BindParameter[Any] = bindparam(VALUE[1:], type_=type_)
    if type_.dialect_impl(_dialect()).bind_expression(value) is None:
        return None
    return _text_of(value, column, "write such rows with add_all()")


def read_by(column: Column[Any], type_: TypeEngine[Any]) -> str | None:
    """Return the SQL of what is read, with `VALUE` for what is stored; None where it is what is stored.

    Raises:
        ConfigurationError: it has parameters of its own.
    """
    # Any other than psycopg's marks of a parameter leaves a `%` as it is.
    expression = type_.dialect_impl(_dialect()).column_expression(literal_column(VALUE, type_))
    return None if expression is None else _text_of(expression, column, "read such a column by a select()")


def _text_of(expression: ColumnElement[Any], column: Column[Any], instead: str) -> str:
    made: Any = expression.compile(dialect=_dialect())
    if made.params.keys() - {VALUE[1:]}:
        message = (
            f"The type of {column} puts each value into an SQL expression with parameters of its own, such as a key, "
            f"which the text of a COPY would show: {instead}."
        )
        raise ConfigurationError(message)
    return str(made)


# Kept, and with it what it knows of each type: a load of a few rows asks for every column.
@cache
def _dialect() -> Any:
    return postgresql.psycopg.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
