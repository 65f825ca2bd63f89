"""JSON schemas of what pydantic alone cannot describe: JSON as PostgreSQL stores it, and the filter language.

So that generated clients and fuzzers know it too. Of a filter, nesting is written out to a few levels.
"""

from __future__ import annotations

import re
from inspect import cleandoc
from typing import Annotated, Any

from pydantic import AfterValidator, Field, GetJsonSchemaHandler, TypeAdapter, WithJsonSchema
from typing_extensions import TypeAliasType

__all__ = ["KEY", "NO_NUL", "Filter", "Metadata", "arguments"]

Schema = dict[str, Any]

#: No text in PostgreSQL holds a NUL.
NO_NUL = r"^[^\x00]*$"

_FIRST, _NEXT = r"(?:[^\\.$\x00]|\\[\\.$])", r"(?:[^\\.\x00]|\\[\\.$])*"

#: A key of a filter: names with dots between them; a backslash takes the meaning from what follows.
KEY = rf"^{_FIRST}{_NEXT}(?:\.{_FIRST}{_NEXT})*$"

_ARGUMENT = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)

_STRING = {"type": "string", "pattern": NO_NUL}
_NUMBER = {"type": "number"}
_SCALAR = {"anyOf": [_STRING, _NUMBER, {"type": "boolean"}, {"type": "null"}]}
_ORDERED = {"anyOf": [_STRING, _NUMBER]}
_PATTERN = {"type": "string", "maxLength": 1_000, "pattern": r"^(?:[^\\\x00]|\\[^\x00])*$"}


def arguments(*docstrings: str | None) -> dict[str, str]:
    """Return what docstrings say under `Args:` of each argument; of two that know one, the first."""
    found: dict[str, str] = {}
    for docstring in docstrings:
        _, _, section = cleandoc(docstring or "").partition("\nArgs:\n")
        for name, about in _ARGUMENT.findall(section.partition("\n\n")[0]):
            found.setdefault(name, " ".join(about.split()))
    return found


def _array(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


class _NamesWithoutNul:
    """Says of a type of objects that no key of theirs holds a NUL."""

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: GetJsonSchemaHandler) -> Schema:
        return {**handler(core_schema), "propertyNames": {"pattern": NO_NUL}}


class _DescribedAs:
    """Describes a type as another one, which is not what it is validated by: that would look at each value anew."""

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
    """Return the schema of an object whose keys are those of metadata."""
    deeper = [_keys(depth - 1, minProperties=1)] if depth else []
    value = {"anyOf": [_SCALAR, _array(_SCALAR), _operators(), *deeper]}
    return {"type": "object", "patternProperties": {KEY: value}, "additionalProperties": False, **more}


def _filter() -> Schema:
    part = _keys(0, minProperties=1)
    several = _array(part, minItems=1)
    logic = {"$and": several, "$or": several, "$not": {"anyOf": [part, several]}}
    about = "A metadata filter; its keys are dotted paths. What nests deeper than this shows is accepted too."
    return _keys(1, properties=logic, description=about, examples=[{"year": {"$gte": 2020}}])


def _plain_arrays(value: Any) -> Any:
    """Refuse arrays of anything but plain values, but for those of conditions."""
    if isinstance(value, dict):
        for key, inner in value.items():
            for item in inner if isinstance(inner, list) else [inner]:
                # In capitals too, as the library takes them.
                of_filters = key.lower() in {"$and", "$or", "$not"}
                if isinstance(inner, list) and not of_filters and isinstance(item, dict | list):
                    message = f"the array at {key!r:.60} holds an array or an object, expected plain values"
                    raise ValueError(message)
                _plain_arrays(item)
    return value


_Text = Annotated[str, Field(pattern=NO_NUL)]
_Object = Annotated[dict[str, "Json"], _NamesWithoutNul()]
#: Any JSON without NUL characters.
Json = TypeAliasType("Json", "_Text | float | bool | list[Json] | _Object | None")
Metadata = TypeAliasType("Metadata", Annotated[dict[str, Any], _DescribedAs(_Object)])
Filter = TypeAliasType("Filter", Annotated[dict[str, Any], AfterValidator(_plain_arrays), WithJsonSchema(_filter())])
