"""The SQL that a column's type wraps around its values, for statements written as text.

SQLAlchemy asks a type for it when it compiles a statement: `bind_expression` for values to store, `column_expression`
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
        # It is the expression of the value within.
        compile_kwargs={"skip_bind_expression": True},
    )
    if made.params.keys() - {VALUE[1:]}:
        message = (
            f"The type of {column} puts each value into an SQL expression with parameters of its own, such as a key, "
            f"which the text of a COPY would show: {instead}."
        )
        raise ConfigurationError(message)
    return str(made)


@cache
def _dialect() -> Any:
    # asyncpg's casts each value to its type; psycopg sends numbers, booleans and bytes as what they are in Python,
    # which in the text of a staging table is not known. And of named marks none is a `%`, which would come out doubled.
    return postgresql.asyncpg.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
