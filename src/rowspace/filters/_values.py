"""Python values in JSON: which are accepted, how they are converted, and their JSON text.

This module is independent of operators and paths. All limits are PostgreSQL's, checked before any SQL is sent.
"""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from numbers import Integral
from typing import Any
from uuid import UUID

from rowspace.errors import InvalidFilter
from rowspace.filters._conditions import Array, Scalar

# The maximum digits of numeric before and after the decimal point (PostgreSQL manual, section 8.1.2).
_MAX_WHOLE_DIGITS = 131_072
_MAX_FRACTION_DIGITS = 16_383
# An integer of more bits has more than _MAX_WHOLE_DIGITS digits.
_MAX_BITS = 435_412
# Python prints integers up to this size, which is most of them, without a limit on digits.
_FEW_BITS = 64

_encode = json.JSONEncoder(ensure_ascii=False).encode


def invalid(where: str, received: object, expected: str, fix: str) -> InvalidFilter:
    """Return the error for a wrong value: its place in the filter, the value, what was expected, and the fix."""
    return InvalidFilter(f"{where}: got {shown(received)}, expected {expected}. {fix}")


def shown(value: object) -> str:
    """Return a short repr that cannot fail."""
    try:
        return reprlib.repr(value)
    except ValueError:  # of an int of more than 4,300 digits, before Python 3.14
        return f"a huge {type(value).__name__}"


def text(value: str, where: str) -> str:
    """Return the plain string of a str or its subclass.

    Raises:
        InvalidFilter: it contains a NUL or a lone surrogate, which jsonb cannot store.
    """
    plain = str.__str__(value)
    if "\0" in plain:
        raise invalid(where, plain, "text without NUL", "PostgreSQL cannot store NUL in jsonb. Remove it.")
    try:
        plain.encode()
    except UnicodeEncodeError:
        fix = "PostgreSQL stores only Unicode characters. Decode the bytes with errors='replace'."
        raise invalid(where, plain, "text without lone surrogates", fix) from None
    return plain


def scalar(value: Any, where: str) -> Scalar:
    """Return the value as JSON stores it: dates, times and UUIDs as ISO text, numbers unchanged.

    Raises:
        InvalidFilter: JSON or PostgreSQL has no such scalar.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return text(value, where)
    if type(value) is int and value.bit_length() <= _FEW_BITS:
        return value
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Integral | float | Decimal):
        return _number(value, where)
    expected = "a string, number, boolean, None, date, time, datetime, UUID or Decimal"
    raise invalid(where, value, expected, _fix_for(value))


def _fix_for(value: object) -> str:
    if isinstance(value, Mapping):
        return 'Compare nested values by nested keys: {"a": {"b": 1}} or {"a.b": 1}.'
    if isinstance(value, list | tuple | set | frozenset):
        return "Use $in for one of several values, $any or $all for the elements of an array."
    return "Convert it to one of these, for example with str(), float() or bool()."


def array(value: list[Any] | tuple[Any, ...], where: str, *, depth: int) -> Array:
    """Return a list, and lists inside it down to `depth` levels, as a tuple of JSON scalars.

    Raises:
        InvalidFilter: it is nested too deep, or an element is not a JSON scalar.
    """
    if depth <= 0:
        raise invalid(where, value, "fewer levels of nesting", "Write a flatter list.")
    return tuple(
        array(element, f"{where}[{index}]", depth=depth - 1)
        if isinstance(element, list | tuple)
        else scalar(element, f"{where}[{index}]")
        for index, element in enumerate(value)
    )


def _number(value: Any, where: str) -> int | float | Decimal:
    if not _is_finite(value):
        raise invalid(where, value, "a finite number", "JSON has no NaN and no infinity. Use None, or omit the key.")
    if isinstance(value, float):
        return float(value)
    number = int(value) if isinstance(value, Integral) else Decimal(value)
    if _fits(number):
        return number or 0
    expected = f"a number of at most {_MAX_WHOLE_DIGITS:,} digits before and {_MAX_FRACTION_DIGITS:,} after the point"
    raise invalid(where, value, expected, "PostgreSQL's numeric has no more digits. Round the number.")


def _is_finite(value: Any) -> bool:
    # math.isfinite overflows on a Decimal beyond the range of float.
    return value.is_finite() if isinstance(value, Decimal) else isinstance(value, Integral) or math.isfinite(value)


def _fits(number: int | Decimal) -> bool:
    if isinstance(number, int):
        return number.bit_length() <= _FEW_BITS or (
            number.bit_length() <= _MAX_BITS and Decimal(number).adjusted() < _MAX_WHOLE_DIGITS
        )
    exponent = number.as_tuple().exponent
    in_scale = isinstance(exponent, int) and exponent >= -_MAX_FRACTION_DIGITS
    return number.is_zero() or (in_scale and number.adjusted() < _MAX_WHOLE_DIGITS)


def to_json(value: Scalar | Mapping[str, Any]) -> str:
    """Return the JSON text of a scalar or of nested dicts of scalars; a scalar's is also its jsonpath literal.

    `json` alone is not sufficient, because Decimal and integers of more than 4,300 digits must stay exact. Keys are
    sorted, so that equal documents have equal texts.
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{to_json(key)}: {to_json(inner)}" for key, inner in sorted(value.items())) + "}"
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value if value.bit_length() <= _FEW_BITS else Decimal(value))
    return _encode(value)
