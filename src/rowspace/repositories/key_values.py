"""A value of a primary key that a caller gives, checked for its column before any SQL.

Each driver has an error of its own for what does not fit, or none, and the server's ends the transaction.
"""

from __future__ import annotations

import math
from decimal import Decimal
from numbers import Real
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import REAL, BigInteger, Column, Enum, Float, Integer, SmallInteger, String, TypeDecorator, Uuid
from sqlalchemy.types import TypeEngine

from rowspace.errors import ConfigurationError, InvalidText
from rowspace.repositories.given import is_text
from rowspace.types import on_postgresql

__all__ = ["is_exact", "key_value"]

_NUMBERS = (int, float, Decimal)


def key_value(column: Column[Any], value: Any) -> Any:
    """Return a value as the rows have it in a column of the key.

    Raises:
        InvalidText: the column holds text, and it is none that PostgreSQL can hold.
        ConfigurationError: it is of another type, the text of no UUID, or a number that is too large.
    """
    type_ = on_postgresql(column.type)
    # What a TypeDecorator takes is known to it alone, and no row has a NULL there.
    if value is None or isinstance(type_, TypeDecorator):
        return value
    if isinstance(type_, Uuid):
        return _uuid(column, value, type_)
    if isinstance(type_, String) and not isinstance(type_, Enum):
        if not is_text(value):
            message = f"{column} is text without NUL bytes and lone surrogates, got {value!r:.60}."
            raise InvalidText(message)
        return value
    if not _fits(type_, value):
        message = (
            f"{column} is {type_!r:.60}, got {value!r:.60} of type {type(value).__name__}: give the key as a row has "
            "it."
        )
        raise ConfigurationError(message)
    return _single(value) if _is_real(type_) else value


def is_exact(value: Any) -> bool:
    """Return whether no other value of a key is the same to the server than those that are equal in Python."""
    return isinstance(value, int | UUID)


def _is_real(type_: TypeEngine[Any]) -> bool:
    return isinstance(type_, REAL) or (isinstance(type_, Float) and (type_.precision or 53) <= 24)


def _single(value: Any) -> Any:
    """Return the number of 32 bits that a row has: drivers compare it with one of 64, and 0.1 is not the same there."""
    with np.errstate(over="ignore"):
        single = float(np.float32(float(value)))
    return single if math.isfinite(single) else value


def _uuid(column: Column[Any], value: Any, type_: Uuid[Any]) -> Any:
    try:
        uuid = value if isinstance(value, UUID) else UUID(value)
    except (ValueError, AttributeError, TypeError):
        message = f"{column} is a UUID, got {value!r:.60}."
        raise ConfigurationError(message) from None
    return uuid if type_.as_uuid else str(uuid)


def _fits(type_: TypeEngine[Any], value: Any) -> bool:
    # A session knows its rows by their keys, as those of a dict: JSON or an array cannot be one.
    if type(value).__hash__ is None:
        return False
    if isinstance(type_, Enum) and type_.enum_class is None:
        return value in type_.enums
    try:
        wanted = type_.python_type
    except NotImplementedError:
        return True
    if wanted in _NUMBERS:
        return type(value) is not bool and isinstance(value, Real | Decimal) and _is_small(type_, value)
    return isinstance(value, wanted)


def _is_small(type_: TypeEngine[Any], value: Any) -> bool:
    if not isinstance(type_, Integer):
        return True
    bits = 63 if isinstance(type_, BigInteger) else 15 if isinstance(type_, SmallInteger) else 31
    return bool(-(2**bits) <= value < 2**bits)
