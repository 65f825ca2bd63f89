"""Statements over one mapped class by its primary key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Delete,
    Join,
    Select,
    SQLColumnExpression,
    Table,
    delete,
    func,
    inspect,
    select,
    tuple_,
)

from rowspace.errors import ConfigurationError
from rowspace.statements.eager import apart

__all__ = ["by_keys", "count", "delete_where", "is_one_of", "parts_of", "table_of_one"]

M = TypeVar("M")

#: The number of keys of one column per statement; PostgreSQL's limit is 65,535 parameters.
_KEYS_AT_ONCE = 10_000
#: The number of keys of several columns: their comparisons are nested, and 10,000 of them exceed the server's default
#: `max_stack_depth` of 2 MB.
_PAIRS_AT_ONCE = 1_000


def table_of_one(model: type[Any], doing: str) -> Table:
    """Return the table of a model that is mapped to a single one; `doing` names the operation in the error.

    Raises:
        ConfigurationError: it is mapped to several tables, by joined inheritance or a join, or to a subquery.
    """
    mapped = inspect(model).persist_selectable
    if isinstance(mapped, Table):
        return mapped
    tables = ", ".join(table.fullname for table in inspect(model).tables) if isinstance(mapped, Join) else "a subquery"
    message = (
        f"{doing} needs a model of a single table; {model.__name__} is mapped to {tables}. "
        "Use the session: add() and delete() write such entities, scalars(select(...)) reads them."
    )
    raise ConfigurationError(message)


def is_one_of(columns: Sequence[Any], keys: Sequence[tuple[Any, ...]]) -> ColumnElement[bool]:
    """Return the condition that a row has one of the keys, each of which has as many values as there are columns."""
    if len(columns) == 1:
        condition: ColumnElement[bool] = columns[0].in_([key[0] for key in keys])
        return condition
    return tuple_(*columns).in_(keys)


def parts_of(model: type[Any], keys: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    """Split primary keys into parts for one statement each."""
    size = _KEYS_AT_ONCE if len(inspect(model).primary_key) == 1 else _PAIRS_AT_ONCE
    return (keys[start : start + size] for start in range(0, len(keys), size))


def by_keys(model: type[M], keys: Sequence[tuple[Any, ...]]) -> Select[M]:
    """Select the rows with one of the primary keys, in no particular order."""
    return select(model).where(is_one_of(inspect(model).primary_key, keys)).options(*apart(model))


def delete_keys(model: type[Any], keys: Sequence[tuple[Any, ...]]) -> Delete:
    """Delete the rows with one of the primary keys.

    Raises:
        ConfigurationError: the model is mapped to several tables.
    """
    # A DELETE of a class with joined inheritance omits the join of its tables, and deletes every row.
    table_of_one(model, "A delete by key")
    return delete(model).where(is_one_of(inspect(model).primary_key, keys))


def delete_where(model: type[Any], where: Sequence[SQLColumnExpression[Any]]) -> Delete:
    """Delete the rows that meet every condition.

    Raises:
        ConfigurationError: no condition is given, which would delete every row, or the model is mapped to several
            tables.
    """
    table_of_one(model, "A delete by conditions")
    if not where:
        message = f"delete_where of {model.__name__} needs at least one condition. To delete every row, pass true()."
        raise ConfigurationError(message)
    return delete(model).where(*where)


def count(model: type[Any], where: Sequence[SQLColumnExpression[Any]] = ()) -> Select[int]:
    """Select the number of rows that meet every condition; costs a pass over them."""
    return select(func.count()).select_from(model).where(*where)
