"""Columns that a load writes though its rows do not bring them, as the ORM would: what they are set to, as SQL."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from sqlalchemy import Column, Table, inspect, literal, types
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import CompileError

from rowspace.errors import ConfigurationError

__all__ = ["inserted_of", "updated_of"]

#: Columns, each with the expression that it is set to.
Expressions = tuple[tuple[str, str], ...]


def inserted_of(model: type[Any], loaded: Container[str]) -> Expressions:
    """Return what new rows have: the discriminator of a class among several in a table. Rows that are there keep it."""
    mapper = inspect(model)
    column = mapper.polymorphic_on
    if not isinstance(column, Column) or column.name in loaded or mapper.polymorphic_identity is None:
        return ()
    return ((column.name, _sql(literal(mapper.polymorphic_identity, column.type))),)


def updated_of(table: Table, loaded: Container[str]) -> Expressions:
    """Return what rows that are there are set to: what `onupdate` says of the columns.

    Raises:
        ConfigurationError: it is said in Python, for each row, or of another column.
    """
    changed = [column for column in table.columns if column.onupdate is not None and column.name not in loaded]
    return tuple((column.name, _updated(column)) for column in changed)


def _updated(column: Any) -> str:
    default = column.onupdate
    # Whatever function it is, it most likely returns the time: that of the transaction is right for all rows.
    if default.is_callable and isinstance(column.type, types.DateTime | types.Date | types.Time):
        return "now()"
    try:
        if default.is_scalar:
            return _sql(literal(default.arg, column.type))
        if default.is_clause_element and not default.arg._from_objects:  # noqa: SLF001 -- the columns that are in it
            return _sql(default.arg)
    except CompileError:
        # A value whose type has no form in SQL text.
        pass
    message = (
        f"{column.table.name}.{column.name} has an onupdate that a bulk load cannot say in SQL for all rows: "
        f"let the rows bring {column.name!r}, or update it by a trigger."
    )
    raise ConfigurationError(message)


def _sql(expression: Any) -> str:
    dialect: Any = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
    return str(expression.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
