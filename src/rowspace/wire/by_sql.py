"""The SQL that a column's type wraps around its values, for statements that are written as text.

When SQLAlchemy compiles a statement, it calls `bind_expression` of the type for values to store and `column_expression`
for values to read. Geometry types have both, as do types that encrypt on the server.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import BindParameter, Column, ColumnElement, bindparam, literal_column
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from rowspace.errors import ConfigurationError
from rowspace.statements.identifiers import VALUE, Schemas
from rowspace.types import psycopg_dialect

__all__ = ["read_by", "stored_by"]


def stored_by(column: Column[Any], type_: TypeEngine[Any], schemas: Schemas) -> str | None:
    """Return the SQL that a session sends for a value to store, with `VALUE` for it; None if it is just the value.

    `schemas` translates the schemas in it.

    Raises:
        ConfigurationError: it has parameters of its own.
    """
    value: BindParameter[Any] = bindparam(VALUE[1:], type_=type_)
    expression = type_.dialect_impl(psycopg_dialect()).bind_expression(value)
    return None if expression is None else _text_of(expression, column, schemas, "write such rows with add_all()")


def read_by(column: Column[Any], type_: TypeEngine[Any], schemas: Schemas) -> str | None:
    """Return the SQL that reads a stored value, with `VALUE` for the value; None if it is the value itself.

    `schemas` translates the schemas in it.

    Raises:
        ConfigurationError: it has parameters of its own.
    """
    expression = type_.dialect_impl(psycopg_dialect()).column_expression(literal_column(VALUE, type_))
    return None if expression is None else _text_of(expression, column, schemas, "read such a column by a select()")


def _text_of(expression: ColumnElement[Any], column: Column[Any], schemas: Schemas, instead: str) -> str:
    made: Any = expression.compile(
        dialect=_dialect(),
        schema_translate_map=dict(schemas) or None,
        render_schema_translate=bool(schemas),
        # The expression is already that of the type, which must not be applied to the value again.
        compile_kwargs={"skip_bind_expression": True},
    )
    if made.params.keys() - {VALUE[1:]}:
        message = (
            f"The type of {column} wraps each value in an SQL expression with parameters, such as a key, which the "
            f"text of a COPY would reveal. Instead, {instead}."
        )
        raise ConfigurationError(message)
    return str(made)


@cache
def _dialect() -> Any:
    # The dialect of asyncpg casts each value to its type. That of psycopg relies on the types of Python's values, which
    # the text columns of a staging table do not have. And with numbered parameters, no `%` is doubled.
    return postgresql.asyncpg.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
