"""Statements that measure all rows: they have no LIMIT and therefore use no vector index."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, cast, func, select

from rowspace.statements.browse import Key
from rowspace.statements.search import DISTANCE, Target, Where, distance_to, key_columns
from rowspace.types import Vector

__all__ = ["distances", "keys", "statistics"]


def keys(target: Target[Any], where: Where = ()) -> Select[Any]:
    """Select the key of each row that has a vector, in their order."""
    columns = key_columns(target).values()
    return select(*columns).select_from(target.model).where(*target.conditions(), *where).order_by(*columns)


def distances(target: Target[Any], where: Where = ()) -> Select[Any]:
    """Select key and distance of each row to the parameter `rowspace_query`, in no particular order.

    Costs a pass over the rows that match.
    """
    found = select(*key_columns(target).values(), distance_to(target).label(DISTANCE)).select_from(target.model)
    return found.where(*target.conditions(), *where)


def statistics(target: Target[Any], key: Key, where: Where = ()) -> Select[Any]:
    """Select for each value of a key the number of rows, their mean vector, and their mean and largest distance to it.

    Rows without a value are left out. Largest category first. Costs two passes over the rows that match.
    """
    # The mean as a `vector`: as a halfvec, it would lose precision.
    vector = cast(target.expression, Vector(target.type.dimension))
    rows = (
        select(key.present().label("value"), vector.label("vector"))
        .select_from(target.model)
        .where(*target.conditions(), *where)
        .subquery("rowspace_rows")
    )
    centroid = func.avg(rows.c.vector, type_=Vector(target.type.dimension))
    groups = (
        select(rows.c.value, func.count().label("rows"), centroid.label("centroid"))
        .where(rows.c.value.is_not(None))
        .group_by(rows.c.value)
        .cte("rowspace_groups")
    )
    same = rows.alias("rowspace_members")
    measured: Any = same.c.vector.comparator
    distance = measured.distance(groups.c.centroid, target.distance)
    spread = (
        select(groups.c.value, func.avg(distance).label("mean"), func.max(distance).label("farthest"))
        .join_from(groups, same, same.c.value == groups.c.value)
        .group_by(groups.c.value)
        .subquery("rowspace_spread")
    )
    return (
        select(groups.c.value, groups.c.rows, groups.c.centroid, spread.c.mean, spread.c.farthest)
        .join_from(groups, spread, spread.c.value == groups.c.value)
        .order_by(groups.c.rows.desc(), groups.c.value)
    )
