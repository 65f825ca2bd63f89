"""Statements and conditions about rows that serve as examples, by primary key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, func, not_, select

from rowspace.statements.models import is_one_of
from rowspace.statements.search import MIN_DISTANCE, Target, distance_to, key_columns

__all__ = ["embeddings_of", "far_from", "nearer_to", "without"]

Key = tuple[Any, ...]


def embeddings_of(target: Target[Any], keys: Sequence[Key]) -> Select[Any]:
    """Select the key, in the columns of `key_columns`, and the embedding, which may be NULL, of rows."""
    columns = _keys(target)
    return select(*columns, target.attribute).where(*target.in_scope(), is_one_of(columns, keys))


def without(target: Target[Any], keys: Sequence[Key]) -> list[ColumnElement[bool]]:
    """Return the condition that excludes rows; none if there are no keys."""
    return [not_(is_one_of(_keys(target), keys))] if keys else []


def nearer_to(target: Target[Any], positive: Sequence[Any], negative: Sequence[Any]) -> list[ColumnElement[bool]]:
    """Return the condition of being nearer to one of some vectors than to all others; none if there are no others.

    Costs a distance to each vector for each row that a scan visits.
    """
    if not negative:
        return []
    return [_smallest(target, positive) < _smallest(target, negative)]


def far_from(target: Target[Any], vectors: Sequence[Any]) -> list[ColumnElement[bool]]:
    """Return the condition of a distance of at least the parameter `rowspace_min_distance` to each vector."""
    return [_smallest(target, vectors) >= bindparam(MIN_DISTANCE)]


def _smallest(target: Target[Any], vectors: Sequence[Any]) -> ColumnElement[float]:
    return func.least(*(distance_to(target, vector) for vector in vectors))


def _keys(target: Target[Any]) -> list[Any]:
    return [getattr(target.model, name) for name in key_columns(target)]
