"""Statements over one mapped class by its primary key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Delete, Select, delete, func, inspect, select, tuple_

from rowspace.errors import ConfigurationError

__all__ = ["as_key", "by_keys", "count", "delete_where", "key_columns"]

M = TypeVar("M")


def key_columns(model: type[Any]) -> tuple[ColumnElement[Any], ...]:
    """Return the primary key columns of a model."""
    return tuple(inspect(model).primary_key)


def as_key(model: type[Any], key: Any) -> tuple[Any, ...]:
    """Return a primary key as a tuple: a bare value is taken for a key of one column.

    Raises:
        ConfigurationError: it has not as many values as the primary key has columns.
    """
    parts = tuple(key) if isinstance(key, tuple | list) else (key,)
    columns = key_columns(model)
    if len(parts) != len(columns):
        names = ", ".join(column.key or "?" for column in columns)
        message = f"The primary key of {model.__name__} is ({names}), got {key!r}."
        raise ConfigurationError(message)
    return parts


def _has_key(model: type[Any], keys: Sequence[tuple[Any, ...]]) -> ColumnElement[bool]:
    columns = key_columns(model)
    if len(columns) == 1:
        return columns[0].in_([key[0] for key in keys])
    return tuple_(*columns).in_(keys)


def by_keys(model: type[M], keys: Sequence[tuple[Any, ...]]) -> Select[M]:
    """Select the rows with one of the primary keys, in no particular order."""
    return select(model).where(_has_key(model, keys))


def delete_keys(model: type[Any], keys: Sequence[tuple[Any, ...]]) -> Delete:
    """Delete the rows with one of the primary keys."""
    return delete(model).where(_has_key(model, keys))


def delete_where(model: type[Any], where: Sequence[ColumnElement[bool]]) -> Delete:
    """Delete the rows that meet every condition.

    Raises:
        ConfigurationError: there is no condition, which would delete every row.
    """
    if not where:
        message = f"delete_where of {model.__name__} needs at least one condition; to delete every row, pass true()."
        raise ConfigurationError(message)
    return delete(model).where(*where)


def count(model: type[Any], where: Sequence[ColumnElement[bool]] = ()) -> Select[int]:
    """Select the number of rows that meet every condition; costs a pass over them."""
    return select(func.count()).select_from(model).where(*where)
