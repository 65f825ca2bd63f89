"""Check the value of a primary key for its column before any SQL is sent.

For a value that does not fit, drivers raise different errors or none, and an error of the server aborts the
transaction.
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
        InvalidText: the column contains text, and the value is not text that PostgreSQL can store.
        ConfigurationError: it has another type, is not the text of a UUID, or is a number that is too large.
    """
    type_ = on_postgresql(column.type)
    # Only a TypeDecorator knows which values it accepts; no row has NULL in its key.
    if value is None or isinstance(type_, TypeDecorator):
        return value
    if isinstance(type_, Uuid):
        return _uuid(column, value, type_)
    if isinstance(type_, String) and not isinstance(type_, Enum):
        if not is_text(value):
            message = f"{column} must be text without NUL bytes and lone surrogates, got {value!r:.60}."
            raise InvalidText(message)
        return value
    if not _fits(type_, value):
        message = (
            f"{column} must be {type_!r:.60}, got {value!r:.60} of type {type(value).__name__}. Pass the key as it is "
            "in a row."
        )
        raise ConfigurationError(message)
    return _single(value) if _is_real(type_) else value


def is_exact(value: Any) -> bool:
    """Return whether the server considers only those values of a key equal that are equal in Python."""
    return isinstance(value, int | UUID)


def _is_real(type_: TypeEngine[Any]) -> bool:
    return isinstance(type_, REAL) or (isinstance(type_, Float) and (type_.precision or 53) <= 24)


def _single(value: Any) -> Any:
    """Return a number as 32-bit float, as a row has it: drivers send 64 bits, and 0.1 would be a different number."""
    with np.errstate(over="ignore"):
        single = float(np.float32(float(value)))
    return single if math.isfinite(single) else value


def _uuid(column: Column[Any], value: Any, type_: Uuid[Any]) -> Any:
    try:
        uuid = value if isinstance(value, UUID) else UUID(value)
    except (ValueError, AttributeError, TypeError):
        message = f"{column} must be a UUID, got {value!r:.60}."
        raise ConfigurationError(message) from None
    return uuid if type_.as_uuid else str(uuid)


def _fits(type_: TypeEngine[Any], value: Any) -> bool:
    # A session uses keys as keys of a dict, so they cannot be JSON or arrays.
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
