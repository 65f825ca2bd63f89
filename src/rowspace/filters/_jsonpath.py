"""Translate a condition tree for PostgreSQL: a containment document and one jsonpath predicate, both plain values.

Source: PostgreSQL manual, section 9.16.2 "The SQL/JSON Path Language".

The jsonpath is in strict mode. Lax mode would unwrap arrays, so that `tags == "a"` would match `["a"]`. In strict mode,
a missing key makes a predicate unknown instead of false. A filter expression drops unknown results, so a predicate
inside `exists($ ? (...))` is either true or false. Each negated leaf is inside one, and so is the whole predicate, so
that SQL's NOT of the compiled filter is its complement too. The GIN index (`jsonb_path_ops`) still serves it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from rowspace.filters._conditions import (
    And,
    Array,
    Compare,
    Condition,
    EqualArray,
    Exists,
    HasAny,
    Leaf,
    Like,
    Not,
    OneOf,
    Or,
    Path,
    Scalar,
    all_of,
)
from rowspace.filters._like import to_regex
from rowspace.filters._values import to_json

_FALSE = "1 == 0"
# PostgreSQL evaluates `a || b || c` recursively: 50,000 terms overflow its stack, but not as a balanced tree.
_FLAT_TERMS = 64
# jsonpath has no sets: comparing 1,000 values one by one took 7 s over 160,000 rows, a binary search 0.3 s.
_LISTED_VALUES = 16


def to_containment(condition: Condition) -> tuple[dict[str, Any], Condition | None]:
    """Return the document that a matching row must contain, and the rest, which a document cannot express.

    The document contains the scalar equalities of a conjunction. A second equality on the same path is in the rest.
    """
    document: dict[str, Any] = {}
    parts = condition.conditions if isinstance(condition, And) else (condition,)
    rest = tuple(part for part in parts if not _placed(document, part))
    return document, all_of(rest) if rest else None


def _placed(document: dict[str, Any], condition: Condition) -> bool:
    if not isinstance(condition, Compare) or condition.comparison != "==":
        return False
    node: Any = document
    *parents, last = condition.path
    for key in parents:
        node = node.setdefault(key, {})
        if not isinstance(node, dict):
            return False
    if last in node:
        return False
    node[last] = condition.value
    return True


def to_jsonpath(condition: Condition) -> str:
    """Return the jsonpath predicate for `@@`: true for a matching document, false for any other, never unknown."""
    return f"strict exists($ ? ({_predicate(condition)}))"


def _predicate(condition: Condition) -> str:
    match condition:
        case And(parts):
            return _joined([_grouped(part) for part in parts], "&&")
        case Not(leaf):
            return f"!exists($ ? ({_leaf(leaf)}))"
        case Or(parts):
            return _joined([_grouped(part) for part in parts], "||")
        case _:
            return _leaf(condition)


def _grouped(condition: Condition) -> str:
    predicate = _predicate(condition)
    return f"({predicate})" if isinstance(condition, And | Or) else predicate


def _leaf(leaf: Leaf) -> str:
    path = _path(leaf.path)
    match leaf:
        case Exists():
            return f"exists({path})"
        case Compare():
            return f"exists({path} ? (@ {leaf.comparison} {to_json(leaf.value)}))"
        case OneOf():
            return f"exists({path} ? ({_one_of(leaf.values)}))"
        case HasAny():
            return f"exists({path}[*] ? ({_one_of(leaf.values)}))"
        case EqualArray():
            return f"exists({path} ? ({_joined(list(_array_terms('@', leaf.values)), '&&')}))"
        case Like():
            flags = "is" if leaf.ignore_case else "s"
            return f'exists({path} ? (@ like_regex {to_json(to_regex(leaf.pattern))} flag "{flags}"))'


def _path(path: Path) -> str:
    return "$" + "".join(f".{to_json(key)}" for key in path)


def _one_of(values: Sequence[Scalar]) -> str:
    if len(values) <= _LISTED_VALUES:
        return " || ".join(f"@ == {to_json(value)}" for value in values) or _FALSE
    constants = [constant for constant in (None, False, True) if any(value is constant for value in values)]
    terms = [f"@ == {to_json(constant)}" for constant in constants]
    # The type is compared first, because a comparison with another type is unknown and does not end the search.
    if strings := sorted(value for value in values if isinstance(value, str)):
        terms.append(f'(@.type() == "string" && ({_search(strings)}))')
    if numbers := sorted((value for value in values if _is_number(value)), key=_as_numeric):
        terms.append(f'(@.type() == "number" && ({_search(numbers)}))')
    return " || ".join(terms)


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _as_numeric(number: Scalar) -> Decimal:
    return Decimal(to_json(number))  # PostgreSQL also reads a float by its decimal text


def _search(ordered: Sequence[Scalar]) -> str:
    """Return a binary search for `@` among values in jsonpath's order, which for strings is by code point."""
    if len(ordered) <= _LISTED_VALUES:
        return _one_of(ordered)
    middle = len(ordered) // 2
    pivot, low, high = to_json(ordered[middle]), _search(ordered[:middle]), _search(ordered[middle:])
    return f"(@ < {pivot} && ({low})) || (@ >= {pivot} && ({high}))"


def _array_terms(item: str, values: Array) -> Iterator[str]:
    yield f"{item}.size() == {len(values)}"
    for index, value in enumerate(values):
        element = f"{item}[{index}]"
        if isinstance(value, tuple):
            yield from _array_terms(element, value)
        else:
            yield f"{element} == {to_json(value)}"


def _joined(terms: Sequence[str], operator: str) -> str:
    if len(terms) <= _FLAT_TERMS:
        return f" {operator} ".join(terms)
    middle = len(terms) // 2
    return f"({_joined(terms[:middle], operator)}) {operator} ({_joined(terms[middle:], operator)})"
