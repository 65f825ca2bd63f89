"""Convert metadata to one Arrow array per key, and keep the original Arrow types of a frame.

JSON has text, numbers, booleans, arrays and objects. Other values of a frame, such as dates or categories, become text.
The metadata of the collection keeps their Arrow types, as Parquet does in a file.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from rowspace._optional import require
from rowspace.errors import InvalidRow
from rowspace.integrations._frames.values import array_of_json, is_list, to_python
from rowspace.wire.values import to_json

__all__ = [
    "ID",
    "IS_JSON",
    "PREFIX",
    "SCHEMA",
    "column_of",
    "columns_of_metadata",
    "field_of_key",
    "field_with_categories",
    "is_json",
    "is_row_number",
    "keep_schema",
    "kept_schema",
    "key_of",
]

pa: Any = require("pyarrow", extra="arrow")

#: The key in the metadata of a collection.
SCHEMA = "ARROW:schema"
#: The field that keeps the original type of the ids, which are stored as text.
ID = "$id"

#: Prefix of a metadata key that equals the name of another column, or equals one with this prefix.
PREFIX = "metadata."

#: Marks fields whose text is JSON, so that they can be written back as such.
IS_JSON = {b"rowspace": b"json"}

#: Stores the categories of a column as a JSON array.
_CATEGORIES = b"rowspace.categories"
#: Every search reads the row of the collection, and more categories would make it too large.
_MOST_CATEGORIES = 1_000

_JSON_TYPES = {
    "string": pa.string(),
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "unsigned": pa.uint64(),
    "number": pa.float64(),
}


def column_of(key: str, others: Container[str]) -> str:
    """Return the column name of a metadata key, distinct from other columns. `key_of` is the inverse."""
    return PREFIX + key if _without_prefixes(key) in others else key


def key_of(column: str, others: Container[str]) -> str:
    """Return the metadata key of a column that is not one of the others."""
    return column.removeprefix(PREFIX) if _without_prefixes(column) in others else column


def _without_prefixes(name: str) -> str:
    while name.startswith(PREFIX):
        name = name.removeprefix(PREFIX)
    return name


def kept_schema(metadata: Mapping[str, Any]) -> Any:
    """Return the schema from a collection's metadata: the types of metadata columns and ids."""
    if SCHEMA not in metadata:
        return pa.schema([])
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(metadata[SCHEMA])))


def keep_schema(metadata: Mapping[str, Any], fields: Iterable[Any], notes: Any) -> dict[str, Any]:
    """Return the metadata of a collection with these fields added to the kept schema.

    Args:
        metadata: the metadata of the collection.
        fields: the fields of the columns.
        notes: the metadata of their schema, where pandas stores its own types.
    """
    before = kept_schema(metadata)
    known = {field.name: field for field in before}
    for field in fields:
        if _comes_back(field.type):
            known[field.name] = _with_categories(field, [*_categories(known.get(field.name)), *_categories(field)])
    schema = pa.schema(list(known.values()), metadata={**(before.metadata or {}), **notes})
    return {**metadata, SCHEMA: base64.b64encode(schema.serialize()).decode()}


def field_with_categories(name: str, type_: Any, arrays: Sequence[Any]) -> Any:
    """Return the field of a column, with the categories of its arrays in order."""
    if not pa.types.is_dictionary(type_):
        return pa.field(name, type_)
    # Later documents can add more categories than an 8-bit index can count.
    wide = pa.dictionary(pa.int32(), type_.value_type, type_.ordered)
    return _with_categories(pa.field(name, wide), [one for array in arrays for one in to_python(array.dictionary)])


def _with_categories(field: Any, categories: Iterable[Any]) -> Any:
    found = [*dict.fromkeys(categories)]
    if not pa.types.is_dictionary(field.type) or not 0 < len(found) <= _MOST_CATEGORIES:
        return field.remove_metadata()
    return field.with_metadata({_CATEGORIES: to_json(found)})


def _categories(field: Any) -> list[Any]:
    noted = (field.metadata or {}).get(_CATEGORIES) if field is not None else None
    return [] if noted is None else list(json.loads(noted))


def _comes_back(type_: Any) -> bool:
    """Return whether values of a type can be restored from JSON."""
    check = pa.types
    if check.is_dictionary(type_):
        return _comes_back(type_.value_type)
    if is_list(type_):
        return _fits_json(type_.value_type)
    return _fits_json(type_) or bool(check.is_temporal(type_) or check.is_null(type_))


def _fits_json(type_: Any) -> bool:
    check = pa.types
    text = check.is_string(type_) or check.is_large_string(type_)
    return bool(text or check.is_boolean(type_) or check.is_integer(type_) or check.is_floating(type_))


def field_of_key(key: str, kinds: Iterable[str], kept: Any = None) -> Any:
    """Return the Arrow field of a metadata key, given the kinds of its values.

    Mixed or nested values become JSON text, and so do integers beyond 64 bits, which a float would round.

    Args:
        key: the metadata key.
        kinds: the kinds that `metadata_kinds` reports for the key.
        kept: the field in the original frame; it is used if its type can represent the kinds.
    """
    found = set(kinds) - {"null"}
    if kept is not None and found <= _kinds_of(kept.type):
        return kept
    if found == {"integer", "number"}:
        return pa.field(key, pa.float64())
    if not found:
        return pa.field(key, pa.string())
    type_ = _JSON_TYPES.get(next(iter(found))) if len(found) == 1 else None
    return pa.field(key, pa.string(), metadata=IS_JSON) if type_ is None else pa.field(key, type_)


def is_row_number(column: str) -> bool:
    """Return whether a column is an unnamed index, as pandas names it in Parquet."""
    return re.fullmatch(r"__index_level_\d+__", column) is not None


def is_json(field: Any) -> bool:
    """Return whether the text in a column is JSON."""
    return (field.metadata or {}).get(b"rowspace") == IS_JSON[b"rowspace"]


def _kinds_of(type_: Any) -> set[str]:
    check = pa.types
    if check.is_dictionary(type_):
        return _kinds_of(type_.value_type)
    if check.is_boolean(type_):
        return {"boolean"}
    if check.is_integer(type_):
        return {"integer", "unsigned"} if type_ == pa.uint64() else {"integer"}
    if check.is_floating(type_):
        return {"integer", "unsigned", "number"}
    if check.is_null(type_):
        return set()
    return {"array"} if is_list(type_) else {"string"}


def columns_of_metadata(texts: Sequence[str | None], fields: Mapping[str, Any]) -> list[Any]:
    """Return one array per key from metadata as JSON text. A missing key is null.

    Raises:
        InvalidRow: the type of a column cannot represent a value.
    """
    objects = [_object(text) for text in texts]
    arrays = []
    for key, field in fields.items():
        values = [one.get(key) for one in objects]
        try:
            arrays.append(_json(values) if is_json(field) else array_of_json(values, field.type, _categories(field)))
        except InvalidRow as error:
            message = f"The metadata key {key!r} {error} Read it as JSON: metadata='json'."
            raise InvalidRow(message) from error
    return arrays


def _object(text: str | None) -> dict[str, Any]:
    value = None if text is None else json.loads(text)
    return value if isinstance(value, dict) else {}


def _json(values: list[Any]) -> Any:
    return pa.array([None if value is None else to_json(value) for value in values], pa.string())
