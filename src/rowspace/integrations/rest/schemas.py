"""JSON schemas for types that pydantic alone cannot describe: JSON that PostgreSQL can store, and the filter language.

Generated clients and fuzzers use them. The schema of a filter describes only a few levels of nesting.
"""

from __future__ import annotations

import re
from inspect import cleandoc
from typing import Annotated, Any

from pydantic import AfterValidator, Field, GetJsonSchemaHandler, TypeAdapter, WithJsonSchema
from typing_extensions import TypeAliasType

__all__ = ["KEY", "NO_NUL", "Filter", "Metadata", "arguments"]

Schema = dict[str, Any]

#: PostgreSQL cannot store a NUL in text.
NO_NUL = r"^[^\x00]*$"

_FIRST, _NEXT = r"(?:[^\\.$\x00]|\\[\\.$])", r"(?:[^\\.\x00]|\\[\\.$])*"

#: A key of a filter: names separated by dots. A backslash escapes the character after it.
KEY = rf"^{_FIRST}{_NEXT}(?:\.{_FIRST}{_NEXT})*$"

_ARGUMENT = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)

_STRING = {"type": "string", "pattern": NO_NUL}
_NUMBER = {"type": "number"}
_SCALAR = {"anyOf": [_STRING, _NUMBER, {"type": "boolean"}, {"type": "null"}]}
_ORDERED = {"anyOf": [_STRING, _NUMBER]}
_PATTERN = {"type": "string", "maxLength": 1_000, "pattern": r"^(?:[^\\\x00]|\\[^\x00])*$"}


def arguments(*docstrings: str | None) -> dict[str, str]:
    """Return the description of each argument under `Args:`. The first docstring that has an argument wins."""
    found: dict[str, str] = {}
    for docstring in docstrings:
        _, _, section = cleandoc(docstring or "").partition("\nArgs:\n")
        for name, about in _ARGUMENT.findall(section.partition("\n\n")[0]):
            found.setdefault(name, " ".join(about.split()))
    return found


def _array(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


class _NamesWithoutNul:
    """Adds to the schema of an object that no key contains a NUL."""

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: GetJsonSchemaHandler) -> Schema:
        return {**handler(core_schema), "propertyNames": {"pattern": NO_NUL}}


class _DescribedAs:
    """Gives a type the schema of another type, without its validation, which would visit each value again."""

    def __init__(self, other: Any) -> None:
        self._other = other

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: GetJsonSchemaHandler) -> Schema:
        del core_schema
        return handler(TypeAdapter(self._other).core_schema)


def _operators() -> Schema:
    operators: dict[str, Schema] = {
        **{key: {"anyOf": [_SCALAR, _array(_SCALAR)]} for key in ("$eq", "$ne")},
        **dict.fromkeys(("$gt", "$gte", "$lt", "$lte"), _ORDERED),
        **dict.fromkeys(("$in", "$nin", "$any"), _array(_SCALAR)),
        "$all": _array(_SCALAR, minItems=1),
        "$between": {"anyOf": [_array(one, minItems=2, maxItems=2) for one in (_STRING, _NUMBER)]},
        "$exists": {"type": "boolean"},
        **dict.fromkeys(("$like", "$ilike"), _PATTERN),
        "$contains": _SCALAR,
    }
    return {"type": "object", "properties": operators, "additionalProperties": False, "minProperties": 1}


def _keys(depth: int, **more: Any) -> Schema:
    """Return the schema of an object whose keys are metadata keys."""
    deeper = [_keys(depth - 1, minProperties=1)] if depth else []
    value = {"anyOf": [_SCALAR, _array(_SCALAR), _operators(), *deeper]}
    return {"type": "object", "patternProperties": {KEY: value}, "additionalProperties": False, **more}


def _filter() -> Schema:
    part = _keys(0, minProperties=1)
    several = _array(part, minItems=1)
    logic = {"$and": several, "$or": several, "$not": {"anyOf": [part, several]}}
    about = "A metadata filter; its keys are dotted paths. Deeper nesting than this schema shows is accepted too."
    return _keys(1, properties=logic, description=about, examples=[{"year": {"$gte": 2020}}])


def _plain_arrays(value: Any) -> Any:
    """Reject arrays whose items are not plain values, except arrays of conditions."""
    if isinstance(value, dict):
        for key, inner in value.items():
            for item in inner if isinstance(inner, list) else [inner]:
                # The library accepts operators in upper case too.
                of_filters = key.lower() in {"$and", "$or", "$not"}
                if isinstance(inner, list) and not of_filters and isinstance(item, dict | list):
                    message = f"the array at {key!r:.60} contains an array or an object, expected plain values"
                    raise ValueError(message)
                _plain_arrays(item)
    return value


_Text = Annotated[str, Field(pattern=NO_NUL)]
_Object = Annotated[dict[str, "Json"], _NamesWithoutNul()]
#: Any JSON without NUL characters.
Json = TypeAliasType("Json", "_Text | float | bool | list[Json] | _Object | None")
Metadata = TypeAliasType("Metadata", Annotated[dict[str, Any], _DescribedAs(_Object)])
Filter = TypeAliasType("Filter", Annotated[dict[str, Any], AfterValidator(_plain_arrays), WithJsonSchema(_filter())])
