"""The search of documents under a filter that matches few rows: compares all of them, and detects if they are many.

A collection always has an index on its metadata; a model may not. The statement needs no estimate, so its plan can be
cached: planning for a filter takes as long as comparing 200 rows.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, Subquery, case, inspect, literal_column, select, true

from rowspace.statements.identifiers import quote
from rowspace.statements.search import DISTANCE, Nearest, Target, at_least, at_most, distance_to, number, select_hits

__all__ = ["COMPARED", "FEW", "best_of_few", "is_at", "nearest_of_few"]

M = TypeVar("M")

#: The number of rows up to which all are compared. In a table of 15,000 rows or more, no walk of a vector index that
#: finds ten of them is faster.
FEW = 1_000

#: The WITH query of the compared rows.
COMPARED = "rowspace_few"


@lru_cache(512)
def nearest_of_few(
    target: Target[M], shape: Nearest, found: ColumnElement[bool], passing: ColumnElement[bool] | None = None
) -> Select[Any]:
    """Select whether an index finds more than `FEW` rows, and the k nearest of up to `FEW` rows with their distance.

    Costs up to `FEW` rows. The first column is true or NULL; if it is true, discard the hits.

    Args:
        target: the documents of a collection.
        shape: k, whether there are limits of the distance, and what to load.
        found: the condition that an index serves, with values that are hidden from the planner.
        passing: another condition, which is tested only on the rows found.
    """
    best, more = best_of_few(target, shape, found, passing)
    return (
        select_hits(target, target.model, shape, best.c[DISTANCE], more)
        .join(best, is_at(target, best))
        .where(*target.in_scope(planned_once=True))
        .order_by(best.c[DISTANCE])
    )


def best_of_few(
    target: Target[Any], shape: Nearest, found: ColumnElement[bool], passing: ColumnElement[bool] | None
) -> tuple[Subquery, ColumnElement[bool | None]]:
    """Return the places and distances of the nearest rows, for `is_at`, and whether more than `FEW` were found."""
    distance: ColumnElement[Any] = distance_to(target)
    compared = distance if passing is None else case((passing, distance))
    # Hidden from the planner, which might scan the table for the first thousand of many rows.
    limit = select(number(FEW + 1)).scalar_subquery()
    rows = (
        select(_place(target).label(_PLACE), compared.label(DISTANCE))
        .select_from(target.model)
        .where(*target.conditions(planned_once=True), found)
        .limit(limit)
        .cte(COMPARED)
        .prefix_with("MATERIALIZED")
    )
    nearness = rows.c[DISTANCE]
    best = (
        select(*rows.c)
        .where(nearness.is_not(None), *at_least(nearness, shape), *at_most(nearness, shape))
        .order_by(nearness)
        .limit(number(shape.k))
        .subquery("rowspace_best")
    )
    # Whether there is one more row, which is faster than counting all of them.
    more = select(true()).select_from(rows).offset(number(FEW)).scalar_subquery()
    return best, more.label("rowspace_more")


def is_at(target: Target[Any], best: Subquery) -> ColumnElement[bool]:
    """Return the condition that a row is one of the nearest."""
    condition: ColumnElement[bool] = _place(target) == best.c[_PLACE]
    return condition


_PLACE = "rowspace_place"


def _place(target: Target[Any]) -> ColumnElement[Any]:
    # By the physical position in the partition: ten lookups in the primary key's index would read 40 pages, a tenth of
    # the pages of the rows themselves.
    mapper: Any = inspect(target.model)
    return literal_column(f"{quote(mapper.local_table.name)}.ctid")
