"""Parse a filter into its condition tree: keys, operators, operands, and all errors about them.

`_values` checks the values; `_jsonpath` translates the conditions for PostgreSQL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any, TypeAlias

from rowspace.errors import InvalidFilter
from rowspace.filters._conditions import (
    Compare,
    Comparison,
    Condition,
    EqualArray,
    Exists,
    HasAny,
    Like,
    OneOf,
    Path,
    Scalar,
    all_of,
    any_of,
    negated,
)
from rowspace.filters._like import ends_in_escape
from rowspace.filters._values import array, invalid, scalar, shown, text

Filter: TypeAlias = Mapping[str, Any]

_MAX_DEPTH = 64
# PostgreSQL's regex compiler takes 0.1 s for the worst pattern of this length, and gives up at five times the length.
_MAX_LIKE_LENGTH = 1_000
_PLAIN_KEY = re.compile(r"[\w.$-]{1,64}")
_ESCAPED = re.compile(r"\\(.)")
_SEGMENT = re.compile(r"(?:[^\\.]|\\[\\.$])*")


@dataclass(frozen=True, slots=True)
class _Place:
    """The position of the parser: the JSON path so far, its name in messages, and the number of levels above."""

    path: Path = ()
    where: str = "filter"
    depth: int = 0

    def inside(self, name: str) -> _Place:
        return _Place(self.path, f"{self.where}{name}", self.depth)

    def deeper(self, value: object) -> _Place:
        if self.depth >= _MAX_DEPTH or len(self.path) > _MAX_DEPTH:
            raise invalid(self.where, value, f"at most {_MAX_DEPTH} levels", "Write a flatter filter.")
        return _Place(self.path, self.where, self.depth + 1)


def parse(filter_: Filter | None, /) -> Condition | None:
    """Return the condition tree of a filter, or None when it is empty or None.

    Raises:
        InvalidFilter: an unknown operator, a wrong operand or an invalid key; the message names the path.
    """
    if filter_ is None or filter_ == {}:
        return None
    return _mapping(filter_, _Place())


def key_path(key: str, /) -> Path:
    """Return the JSON path that a key of a filter names: dots separate names unless a backslash escapes them.

    Raises:
        InvalidFilter: the key is invalid.
    """
    return _segments(text(key, "key"), "key")


def _mapping(value: object, at: _Place) -> Condition:
    at = at.deeper(value)
    if not isinstance(value, Mapping):
        raise invalid(at.where, value, "a dict", _fix_for_mapping(at))
    if not value:
        fix = "It would match every row. Omit it, or use $exists."
        raise invalid(at.where, value, "a dict with at least one key", fix)
    _refuse_mixture(value, at)
    return all_of(tuple(_entry(key, operand, at) for key, operand in value.items()))


def _fix_for_mapping(at: _Place) -> str:
    if at.where.endswith("$not"):
        return 'Write {"key": {"$ne": value}}, or put an operator into $not: {"key": {"$not": {"$gt": 5}}}.'
    return 'Write a filter such as {"year": {"$gte": 2020}}.'


def _refuse_mixture(value: Mapping[Any, Any], at: _Place) -> None:
    operators = [key for key in value if _is_operator(key)]
    if at.path and 0 < len(operators) < len(value):
        fix = f"Move {operators[0]} into its own dict with $and. Write a key that begins with $ as \\$."
        raise invalid(at.where, value, "only operators or only keys", fix)


def _is_operator(key: object) -> bool:
    return isinstance(key, str) and key.startswith("$")


def _entry(key: object, operand: object, at: _Place) -> Condition:
    if not isinstance(key, str):
        raise invalid(at.where, key, "keys that are strings", "JSON has no other keys. Use str().")
    name = key if _PLAIN_KEY.fullmatch(key) else f"[{shown(key)}]"
    inner = at.inside(f".{name}" if name is key else name)
    if _is_operator(key):
        return _operation(key, operand, inner)
    below = _Place(at.path + _segments(text(key, inner.where), inner.where), inner.where, inner.depth)
    return _mapping(operand, below) if isinstance(operand, Mapping) else _equal(operand, below.deeper(operand))


def _segments(key: str, where: str) -> Path:
    if "." not in key and "\\" not in key:
        return (_segment(key, key, where),)
    parts: list[str] = []
    position = 0
    while True:
        segment = _SEGMENT.match(key, position)
        assert segment is not None  # noqa: S101 - the expression matches the empty string
        parts.append(_segment(segment[0], key, where))
        position = segment.end() + 1
        if position > len(key):
            return tuple(parts)
        if key[position - 1] == "\\":
            raise invalid(where, key, "a backslash only before a dot, a dollar or a backslash", "Write it twice: \\\\.")


def _segment(raw: str, key: str, where: str) -> str:
    if not raw:
        raise invalid(where, key, "a name on each side of every dot", "Write a dot within a name as \\.")
    if raw.startswith("$"):
        fix = 'Write a name that begins with $ as \\$, and an operator in a dict: {"year": {"$gt": 5}}.'
        raise invalid(where, key, "a name that does not begin with $", fix)
    return _ESCAPED.sub(r"\1", raw) if "\\" in raw else raw


def _operation(name: str, operand: object, at: _Place) -> Condition:
    if name.lower() in _LOGIC:
        return _logic(name.lower(), operand, at)
    if name not in _OPERATORS:
        message = f"{at.where}: unknown operator {shown(name)}. {_suggestion(name)}"
        raise InvalidFilter(message)
    if not at.path:
        raise invalid(at.where, operand, "a key around the operator", f'Write {{"key": {{"{name}": ...}}}}.')
    return _OPERATORS[name](operand, at)


def _logic(name: str, operand: object, at: _Place) -> Condition:
    if name == "$not" and not isinstance(operand, list | tuple):
        return negated(_mapping(operand, at))
    parts = tuple(_mapping(one, at.inside(f"[{index}]")) for index, one in enumerate(_filters(operand, at)))
    if name == "$not":
        return all_of(tuple(negated(part) for part in parts))
    return all_of(parts) if name == "$and" else any_of(parts)


def _suggestion(name: str) -> str:
    names = [*_OPERATORS, *_LOGIC]
    written = name[:32].lower()
    close = [_ELSEWHERE[written]] if written in _ELSEWHERE else get_close_matches(written, names, n=1, cutoff=0.7)
    meant = f"Did you mean {close[0]}? " if close else ""
    return f"{meant}The operators are {', '.join(names)}. Write a key that begins with $ as \\$."


def _filters(operand: object, at: _Place) -> list[Any] | tuple[Any, ...]:
    if isinstance(operand, list | tuple) and operand:
        return operand
    raise invalid(at.where, operand, "a list of one or more filters", 'Write [{"year": 2020}, {"year": 2021}].')


def _equal(operand: Any, at: _Place) -> Condition:
    if isinstance(operand, list | tuple):
        return EqualArray(at.path, array(operand, at.where, depth=_MAX_DEPTH))
    return Compare(at.path, "==", scalar(operand, at.where))


def _not_equal(operand: Any, at: _Place) -> Condition:
    return negated(_equal(operand, at))


def _ordered(operand: Any, at: _Place, *, comparison: Comparison) -> Condition:
    return Compare(at.path, comparison, _orderable(operand, at.where))


def _orderable(operand: Any, where: str) -> Scalar:
    value = scalar(operand, where)
    if value is None or isinstance(value, bool):
        raise invalid(where, operand, "a number, string or date", "None and booleans have no order. Use $eq or $ne.")
    return value


def _one_of(operand: Any, at: _Place) -> Condition:
    return OneOf(at.path, _scalars(operand, at))


def _none_of(operand: Any, at: _Place) -> Condition:
    return negated(_one_of(operand, at))


def _scalars(operand: Any, at: _Place) -> tuple[Scalar, ...]:
    if not isinstance(operand, list | tuple | set | frozenset):
        raise invalid(at.where, operand, "a list", "Write the values as [value, ...].")
    return tuple(scalar(value, f"{at.where}[{index}]") for index, value in enumerate(operand))


def _between(operand: Any, at: _Place) -> Condition:
    if not isinstance(operand, list | tuple) or len(operand) != 2:
        raise invalid(at.where, operand, "a list of two values", "Write [lowest, highest]; both bounds are included.")
    low, high = (_orderable(value, f"{at.where}[{index}]") for index, value in enumerate(operand))
    if isinstance(low, str) != isinstance(high, str):
        fix = "A number and a string cannot be ordered. Pass two values of one type."
        raise invalid(at.where, operand, "two numbers or two strings", fix)
    return all_of((Compare(at.path, ">=", low), Compare(at.path, "<=", high)))


def _exists(operand: Any, at: _Place) -> Condition:
    if not isinstance(operand, bool):
        raise invalid(at.where, operand, "True or False", "False matches rows without the key.")
    return Exists(at.path) if operand else negated(Exists(at.path))


def _like(operand: Any, at: _Place, *, ignore_case: bool) -> Condition:
    if not isinstance(operand, str):
        raise invalid(at.where, operand, "a pattern as a string", "% matches any text, _ any single character.")
    pattern = text(operand, at.where)
    if len(pattern) > _MAX_LIKE_LENGTH:
        raise invalid(at.where, operand, f"at most {_MAX_LIKE_LENGTH:,} characters", "Shorten the pattern.")
    if ends_in_escape(pattern):
        raise invalid(at.where, operand, "no lone backslash at the end", "Write a backslash as \\\\.")
    return Like(at.path, pattern, ignore_case)


def _contains(operand: Any, at: _Place) -> Condition:
    return HasAny(at.path, (scalar(operand, at.where),))


def _has_any(operand: Any, at: _Place) -> Condition:
    return HasAny(at.path, _scalars(operand, at))


def _has_all(operand: Any, at: _Place) -> Condition:
    values = _scalars(operand, at)
    if not values:
        raise invalid(at.where, operand, "at least one element", "Omit $all, or use $exists to require the key.")
    return all_of(tuple(HasAny(at.path, (value,)) for value in values))


# Their names are case-insensitive and $not accepts a list, as in filters of langchain-postgres.
_LOGIC = ("$and", "$or", "$not")

# Operators of MongoDB and Chroma, with the equivalents here. By spelling alone, two would be mistaken for the opposite.
_ELSEWHERE = {"$nor": "$not", "$not_contains": "$not", "$regex": "$like"}

_OPERATORS: dict[str, Callable[[Any, _Place], Condition]] = {
    "$eq": _equal,
    "$ne": _not_equal,
    "$gt": partial(_ordered, comparison=">"),
    "$gte": partial(_ordered, comparison=">="),
    "$lt": partial(_ordered, comparison="<"),
    "$lte": partial(_ordered, comparison="<="),
    "$in": _one_of,
    "$nin": _none_of,
    "$between": _between,
    "$exists": _exists,
    "$like": partial(_like, ignore_case=False),
    "$ilike": partial(_like, ignore_case=True),
    "$contains": _contains,
    "$any": _has_any,
    "$all": _has_all,
}
