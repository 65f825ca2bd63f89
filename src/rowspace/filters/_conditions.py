"""The tree of a parsed filter: leaves with one path each, joined by And, Or and Not.

This module is independent of the dict syntax (`_parse`) and of jsonpath (`_jsonpath`).

Each leaf is either true or false for a document, never unknown: if the key is missing or its value has another type, it
is false. Only leaves are negated, because `negated` pushes negations down by De Morgan's laws. This makes
`{"$not": {"$or": [{"a": {"$ne": 1}}, ...]}}` a conjunction of equalities, which the GIN index serves.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

Scalar: TypeAlias = str | int | float | Decimal | bool | None
Array: TypeAlias = "tuple[Scalar | Array, ...]"
Path: TypeAlias = tuple[str, ...]
Comparison: TypeAlias = Literal["==", ">", ">=", "<", "<="]


@dataclass(frozen=True, slots=True)
class Compare:
    """The value at `path` is a scalar of the same type as `value`, and the comparison with it is true."""

    path: Path
    comparison: Comparison
    value: Scalar


@dataclass(frozen=True, slots=True)
class OneOf:
    """The value at `path` is a scalar equal to one of `values`."""

    path: Path
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class EqualArray:
    """The value at `path` is an array of exactly these elements in this order."""

    path: Path
    values: Array


@dataclass(frozen=True, slots=True)
class HasAny:
    """The value at `path` is an array with at least one of `values` as an element."""

    path: Path
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Like:
    """The value at `path` is a string that matches a LIKE pattern as a whole."""

    path: Path
    pattern: str
    ignore_case: bool


@dataclass(frozen=True, slots=True)
class Exists:
    """There is a value at `path`, JSON null included."""

    path: Path


Leaf: TypeAlias = Compare | OneOf | EqualArray | HasAny | Like | Exists


@dataclass(frozen=True, slots=True)
class Not:
    """The leaf is false, which includes documents that lack its path."""

    leaf: Leaf


@dataclass(frozen=True, slots=True)
class And:
    """Every one of two or more conditions is true."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of two or more conditions is true."""

    conditions: tuple[Condition, ...]


Condition: TypeAlias = And | Or | Not | Leaf


def all_of(conditions: tuple[Condition, ...]) -> Condition:
    """Return the conjunction of one or more conditions, flat."""
    parts = tuple(part for one in conditions for part in (one.conditions if isinstance(one, And) else (one,)))
    return parts[0] if len(parts) == 1 else And(parts)


def any_of(conditions: tuple[Condition, ...]) -> Condition:
    """Return the disjunction of one or more conditions, flat."""
    parts = tuple(part for one in conditions for part in (one.conditions if isinstance(one, Or) else (one,)))
    return parts[0] if len(parts) == 1 else Or(parts)


def negated(condition: Condition) -> Condition:
    """Return the exact complement, with the negation on the leaves."""
    if isinstance(condition, And):
        return any_of(tuple(negated(part) for part in condition.conditions))
    if isinstance(condition, Or):
        return all_of(tuple(negated(part) for part in condition.conditions))
    return condition.leaf if isinstance(condition, Not) else Not(condition)
