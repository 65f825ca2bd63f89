"""The search under a filter that few rows pass: all of them compared, and a sign where they were not few after all.

It needs no estimate, so its plan is kept: planning for a filter takes as long as comparing 200 rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, and_, case, func, inspect, literal_column, select

from rowspace.statements.identifiers import quote
from rowspace.statements.search import DISTANCE, Nearest, Target, at_least, at_most, distance_to, number, select_hits

__all__ = ["FEW", "nearest_of_few"]

M = TypeVar("M")

#: Rows that are compared whatever else there is. In 15,000 rows or more no walk of a vector index that ends with ten of
#: them is faster.
FEW = 1_000


@lru_cache(512)
def nearest_of_few(
    target: Target[M], shape: Nearest, found: ColumnElement[bool], passing: ColumnElement[bool] | None = None
) -> Select[Any]:
    """Select how many rows an index finds, `FEW` + 1 where it is more, and of these the k nearest and their distance.

    Costs those rows and no more. Where they are more than `FEW`, the hits are not those of a search.

    Args:
        target: what is searched.
        shape: k, whether there are limits of the distance, and what is loaded.
        found: the condition that an index serves, without a value that the planner sees.
        passing: one more, which only the rows found are tested by.
    """
    distance: ColumnElement[Any] = distance_to(target)
    names = {key: f"rowspace_key_{place}" for place, key in enumerate(_keys(target))}
    compared = distance if passing is None else case((passing, distance))
    # Not a number that the planner sees: for the first thousand of many it might take a scan of the table.
    limit = select(number(FEW + 1)).scalar_subquery()
    rows = (
        select(*(key.label(name) for key, name in names.items()), compared.label(DISTANCE))
        .select_from(target.model)
        .where(*target.conditions(planned_once=True), found)
        .limit(limit)
        .cte("rowspace_few")
        .prefix_with("MATERIALIZED")
    )
    nearness = rows.c[DISTANCE]
    best = (
        select(*rows.c)
        .where(*_passed(nearness, passing), *at_least(nearness, shape), *at_most(nearness, shape))
        .order_by(nearness)
        .limit(number(shape.k))
        .subquery("rowspace_best")
    )
    count = select(func.count()).select_from(rows).scalar_subquery().label("rowspace_found")
    same = and_(*(key == best.c[name] for key, name in names.items()))
    return (
        select_hits(target, target.model, shape, best.c[DISTANCE], count)
        .join(best, same)
        .where(*target.in_scope(planned_once=True))
        .order_by(best.c[DISTANCE])
    )


def _keys(target: Target[Any]) -> Sequence[ColumnElement[Any]]:
    """Return what a row is known by within a statement: the primary key, or where it lies in its one partition."""
    mapper: Any = inspect(target.model)
    if target.scope:
        # Ten looks into the index of the primary key are 40 pages, a tenth of what the rows themselves are.
        return (literal_column(f"{quote(mapper.local_table.name)}.ctid"),)
    keys: tuple[ColumnElement[Any], ...] = mapper.primary_key
    return keys


def _passed(nearness: ColumnElement[Any], passing: ColumnElement[bool] | None) -> Sequence[ColumnElement[bool]]:
    return [] if passing is None else [nearness.is_not(None)]
