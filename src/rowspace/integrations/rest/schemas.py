"""JSON schemas of what pydantic alone cannot describe: JSON as PostgreSQL stores it, and the filter language.

So that generated clients and fuzzers know it too. Nesting is written out to a few levels.
"""

from __future__ import annotations

import re
from inspect import cleandoc
from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema
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


def _json(depth: int) -> Schema:
    """Return the schema of any JSON value without NUL characters."""
    return {"anyOf": [_SCALAR, _array(_json(depth - 1)), _object(depth)]} if depth else {}


def _object(depth: int, **more: Any) -> Schema:
    names = {"propertyNames": {"pattern": NO_NUL}, "additionalProperties": _json(depth - 1)}
    return {"type": "object", **names, **more}


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
    logic = {"$and": _array(part, minItems=1), "$or": _array(part, minItems=1), "$not": part}
    about = "A metadata filter; its keys are dotted paths. What nests deeper than this shows is accepted too."
    return _keys(1, properties=logic, description=about, examples=[{"year": {"$gte": 2020}}])


def _plain_arrays(value: Any) -> Any:
    """Refuse arrays of anything but plain values, but for those of conditions."""
    if isinstance(value, dict):
        for key, inner in value.items():
            for item in inner if isinstance(inner, list) else [inner]:
                if isinstance(inner, list) and key not in {"$and", "$or"} and isinstance(item, dict | list):
                    message = f"the array at {key!r:.60} holds an array or an object, expected plain values"
                    raise ValueError(message)
                _plain_arrays(item)
    return value


Metadata = TypeAliasType("Metadata", Annotated[dict[str, Any], WithJsonSchema(_object(3))])
Filter = TypeAliasType("Filter", Annotated[dict[str, Any], AfterValidator(_plain_arrays), WithJsonSchema(_filter())])
