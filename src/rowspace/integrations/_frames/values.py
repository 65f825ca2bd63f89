"""Convert values of Arrow arrays to values that JSON can represent, and back to their types.

JSON has no times. Dates, times and timestamps become ISO 8601 strings, and a duration is written as `PT1.5S`.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Sequence
from typing import Any

from rowspace._optional import require
from rowspace.errors import InvalidRow

__all__ = ["array_of_json", "is_list", "is_text", "parsed", "plain", "to_python"]

pa: Any = require("pyarrow", extra="arrow")

_NANOSECONDS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_DURATION = re.compile(r"(-?)PT(\d+)(?:\.(\d{1,9}))?S")


def is_text(type_: Any) -> bool:
    """Return whether a type is text, or a dictionary of texts."""
    check = pa.types
    plain = type_.value_type if check.is_dictionary(type_) else type_
    return bool(check.is_string(plain) or check.is_large_string(plain) or check.is_string_view(plain))


def is_list(type_: Any) -> bool:
    """Return whether a type is a list, of fixed or variable length."""
    check = pa.types
    return bool(check.is_list(type_) or check.is_large_list(type_) or check.is_fixed_size_list(type_))


def plain(array: Any) -> Any:
    """Return an array without a dictionary, with times in microseconds and UUIDs as text.

    Python has no type for nanoseconds, and Arrow would cast a UUID to its bytes.
    """
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if getattr(array.type, "extension_name", None) == "arrow.uuid":
        return pa.array([one and str(one) for one in array.to_pylist()], pa.string())
    if getattr(array.type, "unit", None) != "ns":
        return array
    if pa.types.is_timestamp(array.type):
        return array.cast(pa.timestamp("us", array.type.tz))
    return array.cast(pa.time64("us") if pa.types.is_time64(array.type) else pa.duration("us"))


def to_python(array: Any) -> list[Any]:
    """Return the values of an array as objects that `rowspace.wire.values.to_json` supports, except bytes.

    Nulls inside objects are removed.

    Raises:
        InvalidRow: Python has no type for a value.
    """
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    try:
        if pa.types.is_timestamp(array.type) and array.type.unit == "ns":
            return _moments(array)
        if pa.types.is_duration(array.type):
            factor = _NANOSECONDS[array.type.unit]
            return [None if one is None else _iso_duration(one * factor) for one in array.view(pa.int64()).to_pylist()]
        # to_pylist would truncate a time of day in nanoseconds. The cast in `plain` raises an error instead.
        values: list[Any] = (plain(array) if pa.types.is_time64(array.type) else array).to_pylist()
    except (ValueError, OverflowError) as error:
        message = f"cannot be written: {str(error).rstrip('.')}."
        raise InvalidRow(message) from error
    if pa.types.is_map(array.type) and is_text(array.type.key_type):
        return [None if pairs is None else dict(pairs) for pairs in values]
    return [_present(value) for value in values] if pa.types.is_nested(array.type) else values


def _present(value: Any) -> Any:
    """Return a value without nulls inside objects. In a struct column, every row has the keys of all rows."""
    if isinstance(value, dict):
        return {key: _present(inner) for key, inner in value.items() if inner is not None}
    return [_present(inner) for inner in value] if isinstance(value, list) else value


def _moments(array: Any) -> list[Any]:
    """Return times in nanoseconds as Python objects, or as text if their microseconds would lose precision."""
    microseconds = pa.timestamp("us", array.type.tz)
    times: list[Any] = array.cast(microseconds, safe=False).to_pylist()
    counts = array.view(pa.int64()).to_pylist()
    if all(count is None or count % 1_000 == 0 for count in counts):
        return times
    floors = pa.array([None if count is None else count // 1_000 for count in counts], pa.int64()).view(microseconds)
    shown = [time and time.isoformat(timespec="microseconds") for time in floors.to_pylist()]
    return [
        None if count is None else f"{text[:26]}{count % 1_000:03}{text[26:]}"
        for count, text in zip(counts, shown, strict=True)
    ]


def _iso_duration(nanoseconds: int) -> str:
    seconds, rest = divmod(abs(nanoseconds), 1_000_000_000)
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    return f"{'-' if nanoseconds < 0 else ''}PT{seconds}{fraction}S"


def array_of_json(values: Sequence[Any], type_: Any, categories: Sequence[Any] = ()) -> Any:
    """Return values from JSON as an array of a type.

    Args:
        values: the values; None means null.
        type_: the type, possibly a dictionary.
        categories: the first values of the dictionary, in order.

    Raises:
        InvalidRow: the type cannot represent a value.
    """
    check = pa.types
    if check.is_dictionary(type_):
        return _encoded(values, type_, categories)
    try:
        if check.is_floating(type_):
            # Arrow's integers are limited, Python's are not. Convert to float first.
            return pa.array([None if value is None else float(value) for value in values], type_)
        if check.is_time(type_):
            return pa.array([None if value is None else dt.time.fromisoformat(value) for value in values], type_)
        if check.is_duration(type_):
            factor = _NANOSECONDS[type_.unit]
            return pa.array([None if value is None else _nanoseconds(value) // factor for value in values], type_)
        if check.is_temporal(type_):
            # Python writes microseconds, which Arrow rejects for larger units.
            has_them = check.is_timestamp(type_) and type_.unit in {"s", "ms"}
            read = pa.array(values, pa.string()).cast(pa.timestamp("us", type_.tz) if has_them else type_)
            return read.cast(type_)
        return pa.array(values, type_)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        message = f"cannot be read as {type_}: {error}."
        raise InvalidRow(message) from error


def _encoded(values: Sequence[Any], type_: Any, categories: Sequence[Any]) -> Any:
    distinct = dict.fromkeys([*categories, *(value for value in values if value is not None)])
    places = {value: at for at, value in enumerate(distinct)}
    indices = pa.array([None if value is None else places[value] for value in values], type_.index_type)
    dictionary = array_of_json([*distinct], type_.value_type)
    return pa.DictionaryArray.from_arrays(indices, dictionary, ordered=type_.ordered)


def _nanoseconds(text: Any) -> int:
    found = _DURATION.fullmatch(text)
    if found is None:
        message = f"{text!r:.60} is not a duration such as PT1.5S"
        raise ValueError(message)
    sign, seconds, fraction = found.groups()
    return (-1 if sign else 1) * (int(seconds) * 1_000_000_000 + int((fraction or "").ljust(9, "0")))


def parsed(values: Sequence[Any], name: str, number: int) -> list[Any]:
    """Return the parsed values of a column of JSON text. `number` is that of its first row.

    Raises:
        InvalidRow: a text is not JSON. The message names the row.
    """
    found = []
    for at, value in enumerate(values, number):
        try:
            found.append(json.loads(value) if isinstance(value, str) else value)
        except ValueError as error:
            message = f"Row {at}: {name!r} is {value!r:.60}, which is not JSON: {error}."
            raise InvalidRow(message) from error
    return found
