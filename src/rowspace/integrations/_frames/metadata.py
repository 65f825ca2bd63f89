"""Metadata as columns: JSON objects in, one Arrow array a key out, and the types that a frame had kept beside them.

JSON knows text, numbers, booleans, arrays and objects. What else a frame holds, such as a date or a category, is text
there; its Arrow type is kept in the metadata of the collection, as Parquet keeps it in a file.
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
#: What the type of the ids is kept as, which are text.
ID = "$id"

#: In front of a metadata key that is called like another column, or like one with this in front.
PREFIX = "metadata."

#: What the fields of columns of JSON text are marked with, so that they can be written back as what they were.
IS_JSON = {b"rowspace": b"json"}

#: With the categories of a column as a JSON array.
_CATEGORIES = b"rowspace.categories"
#: More of them would make the row of the collection, which each search reads, too long.
_MOST_CATEGORIES = 1_000

_JSON_TYPES = {
    "string": pa.string(),
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "unsigned": pa.uint64(),
    "number": pa.float64(),
}


def column_of(key: str, others: Container[str]) -> str:
    """Return what the column of a metadata key is called beside other columns; `key_of` is the way back."""
    return PREFIX + key if _without_prefixes(key) in others else key


def key_of(column: str, others: Container[str]) -> str:
    """Return the metadata key of a column that is none of the others."""
    return column.removeprefix(PREFIX) if _without_prefixes(column) in others else column


def _without_prefixes(name: str) -> str:
    while name.startswith(PREFIX):
        name = name.removeprefix(PREFIX)
    return name


def kept_schema(metadata: Mapping[str, Any]) -> Any:
    """Return the schema that is kept in the metadata of a collection: of its metadata's columns, and of its ids."""
    if SCHEMA not in metadata:
        return pa.schema([])
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(metadata[SCHEMA])))


def keep_schema(metadata: Mapping[str, Any], fields: Iterable[Any], notes: Any) -> dict[str, Any]:
    """Return the metadata of a collection with fields of columns beside those that it kept before.

    Args:
        metadata: that of the collection.
        fields: of the columns.
        notes: the metadata of the schema that they are from; pandas has its own types there.
    """
    before = kept_schema(metadata)
    known = {field.name: field for field in before}
    for field in fields:
        if _comes_back(field.type):
            known[field.name] = _with_categories(field, [*_categories(known.get(field.name)), *_categories(field)])
    schema = pa.schema(list(known.values()), metadata={**(before.metadata or {}), **notes})
    return {**metadata, SCHEMA: base64.b64encode(schema.serialize()).decode()}


def field_with_categories(name: str, type_: Any, arrays: Sequence[Any]) -> Any:
    """Return the field of a column, with the categories in their order where its arrays have them."""
    if not pa.types.is_dictionary(type_):
        return pa.field(name, type_)
    # Later documents may bring more categories than an index of eight bits can count.
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
    """Tell whether values of a type are the same after a stay in JSON."""
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

    What is mixed or nested is JSON text, and so are numbers beyond 64 bits, of which a float would lose digits.

    Args:
        key: its name.
        kinds: what `metadata_kinds` says of the key.
        kept: the field that a frame had of it; it counts where the kinds are what its type is made of.
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
    """Tell whether a column is an index without a name, as pandas writes one to Parquet."""
    return re.fullmatch(r"__index_level_\d+__", column) is not None


def is_json(field: Any) -> bool:
    """Tell whether the text in a column is JSON."""
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
    """Return one array a key from metadata as JSON text; a key that is missing is null.

    Raises:
        InvalidRow: a value that the type of its column cannot hold.
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
