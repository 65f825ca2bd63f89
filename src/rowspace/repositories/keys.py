"""The keys that a caller can name: a metadata key as text, or a column as an attribute of the model."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Any, cast

from sqlalchemy import JSON, ColumnElement, inspect
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.types import TypeEngine

from rowspace.errors import ConfigurationError
from rowspace.filters import key_path
from rowspace.statements.browse import Key
from rowspace.types import is_jsonb, stored_type

__all__ = ["KeyLike", "check_comparable", "key_of", "metadata_of", "named_keys"]

#: A metadata key, written as in a filter, or a column as an attribute of the model.
KeyLike = str | InstrumentedAttribute[Any]


def key_of(model: type[Any], key: KeyLike) -> Key:
    """Return a key of a model.

    Raises:
        InvalidFilter: the metadata key is malformed.
        ConfigurationError: the model has no such column, or no JSONB attribute `meta`; or the column is JSON, whose
            values the server cannot compare.
    """
    columns = inspect(model).columns
    if not isinstance(key, str):
        name = getattr(key, "key", None)
        if isinstance(name, str) and name in columns and getattr(model, name) is key:
            check_comparable(key, columns[name].type)
            return Key(model, name)
        message = f"{model.__name__} has no column {key!s:.60}. Pass a metadata key as text."
        raise ConfigurationError(message)
    if metadata_of(cast("Hashable", model)) is not None:
        return Key(model, "meta", key_path(key))
    message = (
        f"A metadata key needs a JSONB attribute `meta`, which {model.__name__} does not have. "
        f"Name a column by its attribute, {model.__name__}.{key}."
    )
    raise ConfigurationError(message)


@lru_cache(512)
def metadata_of(model: Any) -> ColumnElement[Any] | None:
    """Return the JSONB column of the attribute `meta`, or None if the model has none."""
    column: ColumnElement[Any] | None = inspect(model).columns.get("meta")
    return column if column is not None and is_jsonb(column.type) else None


def check_comparable(key: Any, type_: TypeEngine[Any]) -> None:
    """Refuse JSON, whose values the server cannot compare.

    Raises:
        ConfigurationError: it is JSON.
    """
    if isinstance(stored_type(type_), JSON) and not is_jsonb(type_):
        message = f"{key} is JSON, whose values PostgreSQL cannot compare. Change it to JSONB, or name another key."
        raise ConfigurationError(message)


def named_keys(model: type[Any], keys: KeyLike | Sequence[KeyLike]) -> dict[str, Key]:
    """Return one key or several by name: the text of a metadata key, the attribute of a column."""
    several = keys if isinstance(keys, Sequence) and not isinstance(keys, str) else [keys]
    return {key if isinstance(key, str) else key.key: key_of(model, key) for key in several}
