"""Text and JSON as PostgreSQL can store them: without NUL and lone surrogates, JSON without NaN and infinity."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import types

from rowspace.errors import InvalidRow, InvalidText

__all__ = [
    "all_json_bytes",
    "json_bytes",
    "storable_json",
    "storable_text",
    "to_json",
    "to_text",
]

#: The separator between values that are encoded together, and its JSON form.
_SEPARATOR, _BETWEEN = "\x1e", b', "\\u001e", '


def to_text(value: Any) -> bytes:
    """Return text as UTF-8.

    Raises:
        InvalidText: not text, or with a NUL byte or a lone surrogate, which PostgreSQL cannot store.
    """
    if not isinstance(value, str):
        message = f"expected text, got {type(value).__name__}."
        raise InvalidText(message)
    if "\0" in value:
        message = "PostgreSQL cannot store a NUL byte in text. Remove it, or pass strip_nul=True to the service."
        raise InvalidText(message)
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        message = f"the text contains a lone surrogate at index {error.start}, which is not valid Unicode."
        raise InvalidText(message) from None


def storable_text(value: Any, *, strip_nul: bool) -> str:
    """Return text that PostgreSQL can store, on request without NUL bytes.

    Raises:
        InvalidText: as in `to_text`.
    """
    if strip_nul and isinstance(value, str):
        value = value.replace("\0", "")
    to_text(value)
    return str(value)


def storable_json(value: Any, *, strip_nul: bool = False) -> Any:
    """Return what JSONB returns for a value: dates as text, tuples as lists; on request without NUL bytes.

    Raises:
        InvalidText: as in `to_text`.
        InvalidRow: NaN, infinity, a decimal that a float cannot represent, or a value that JSON cannot represent.
    """
    try:
        # As text: the module would first guess the encoding of bytes.
        return json.loads(json_bytes(value, strip_nul=strip_nul).decode())
    except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
        if isinstance(error, InvalidText):
            raise
        raise InvalidRow(str(error)) from error


def to_json(value: Any) -> str:
    """Return JSON text; dates, UUIDs, decimals and NumPy values are converted.

    Raises:
        TypeError: JSON cannot represent a value; the message names the key in an object.
        ValueError: NaN or infinity, or a decimal that a float cannot represent.
    """
    try:
        return _dumps(value)
    except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                message = _fault_in_json(key, inner)
                if message is not None:
                    raise (TypeError if isinstance(error, TypeError) else ValueError)(message) from error
        raise


def _fault_in_json(key: Any, value: Any) -> str | None:
    try:
        _dumps({key: value})
    except _Inexact as error:
        return f"{key!r}: {error}"
    except (TypeError, ValueError, ArithmeticError, RecursionError):
        return f"{key!r} is {value!r:.60}, which has no JSON form. Omit it, or convert it to text."
    return None


def json_bytes(value: Any, *, strip_nul: bool = False) -> bytes:
    """Return JSON in UTF-8, on request without NUL.

    Raises:
        InvalidText: a NUL or a lone surrogate.
        TypeError, ValueError: as in `to_json`.
    """
    text = to_json(value)
    # The escape may also be a backslash followed by five characters of text, so only a real NUL is replaced.
    if "\\u0000" in text and strip_nul:
        text = json.dumps(_without_nul(json.loads(text)), ensure_ascii=False)
    elif "\\u0000" in text and _without_nul(json.loads(text)) != json.loads(text):
        return to_text("\0")
    return to_text(text)


def all_json_bytes(values: Sequence[Any]) -> list[bytes]:
    """Return many values as JSON in UTF-8, encoded as one list with a separator text after each value.

    Raises:
        Exception: for a single value, `json_bytes` may raise a different error, or none.
    """
    if any(value is types.JSON.NULL for value in values):
        # In SQLAlchemy 2.0, it is a number, which has a JSON form.
        message = "one stands for JSON's null."
        raise TypeError(message)
    text = _dumps([item for value in values for item in (value, _SEPARATOR)])
    if "\\u0000" in text:
        message = "one may have a NUL."
        raise InvalidText(message)
    # Quotes within a text are escaped, so only a list inside of a value can contain the separator. Then there are too
    # many parts.
    encoded = text[1 : -len(_BETWEEN) + 1].encode().split(_BETWEEN)
    return [data for _, data in zip(values, encoded, strict=True)]


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(item) for key, item in value.items()}
    return value


class _Inexact(ValueError):
    """A decimal has digits that a float cannot represent."""


def _float(value: decimal.Decimal) -> float:
    # JSONB stores every digit, but Python reads its numbers as floats, which would lose them.
    number = float(value)
    if value.is_finite() and decimal.Decimal(repr(number)) != value:
        message = f"{value!r:.60} has digits that would be lost, because JSON is read as floats. Pass text or a float."
        raise _Inexact(message)
    return number


def _jsonable(value: Any) -> Any:
    """Convert a value that JSON cannot represent to what a filter compares with: ISO text, numbers."""
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else _float(value)
    message = f"{type(value).__name__} {value!r:.60} has no JSON form."
    raise TypeError(message)


# json.dumps would create an encoder for every value.
_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_jsonable).encode
