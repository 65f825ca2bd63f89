"""Statements that return the best hits of each group.

Groups are in the order of their nearest row. Ranking reads only key, group and distance; the rows themselves are joined
to the few results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Double,
    Integer,
    Select,
    Subquery,
    Text,
    and_,
    func,
    inspect,
    literal,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from rowspace.settings import check_count
from rowspace.statements.eager import apart
from rowspace.statements.search import (
    DISTANCE,
    Nearest,
    Target,
    Where,
    approximate_distance,
    at_least,
    by_comparison,
    distance_to,
    first_of,
    loading,
    number,
)
from rowspace.types import is_jsonb

__all__ = ["GroupKey", "Grouping", "grouped"]

M = TypeVar("M")
_GROUP = "rowspace_group"
_PLAIN = Nearest()


@dataclass(frozen=True, slots=True)
class Grouping:
    """The number of groups, and of rows in each.

    Args:
        groups: number of groups to return, at least 1.
        per_group: number of rows to return of each, at least 1.
        candidates: number of rows from the index scan to search for groups; None for all rows that match.
    """

    groups: int = 10
    per_group: int = 1
    candidates: int | None = None

    def __post_init__(self) -> None:
        for name in ("groups", "per_group"):
            object.__setattr__(self, name, check_count(name, getattr(self, name)))


@dataclass(frozen=True, slots=True)
class GroupKey:
    """The value that the hits of a group share.

    Args:
        value: an expression.
        metadata: the JSONB column that contains the value, if any.
        path: the path of the value in it.
    """

    value: ColumnElement[Any]
    metadata: ColumnElement[Any] | None = None
    path: tuple[str, ...] = ()

    @classmethod
    def of_metadata(cls, metadata: ColumnElement[Any], path: tuple[str, ...]) -> GroupKey:
        """Return the JSONB value at a path of keys."""
        value = metadata
        for key in path:
            # Not `column[key]`, whose operator depends on the version of SQLAlchemy.
            value = value.op("->", return_type=JSONB())(literal(key, Text()))
        return cls(value, metadata, path)

    def known(self) -> list[ColumnElement[bool]]:
        """Return the condition that there is a value other than JSON null."""
        if not is_jsonb(self.value.type):
            return [self.value.is_not(None)]
        return [func.jsonb_typeof(self.value) != literal_column("'null'")]

    def among(self, values: Sequence[Any]) -> list[ColumnElement[bool]]:
        """Return the conditions that the value is one of the given ones."""
        same = self.value.in_([literal(value, self.value.type) for value in values])
        if self.metadata is None:
            return [same]
        documents = (reduce(lambda inner, key: {key: inner}, reversed(self.path), value) for value in values)
        # Containment is weaker than equality at the path, but the GIN index serves it.
        return [same, or_(*(self.metadata.op("@>", is_comparison=True)(literal(one, JSONB())) for one in documents))]


def grouped(
    target: Target[M],
    by: GroupKey,
    grouping: Grouping,
    where: Where = (),
    *,
    shape: Nearest = _PLAIN,
) -> Select[int, Any, M, float, int, float]:
    """Select position and key of the group, row, distance, and the number and largest distance of the candidates.

    Ordered by position, then distance; the last two columns are 0 if all rows are considered. The parameter
    `rowspace_query` is the vector. Rows whose key is NULL belong to no group.
    Of `shape`, only the minimum distance and whether to load the embedding are used.
    Costs an index scan of `candidates` rows; with None one pass over every row that matches.
    """
    best = _best(target, by, grouping, (*where, *at_least(distance_to(target), shape)))
    mapper = inspect(target.model)
    same = and_(*(key == best.c[_key(index)] for index, key in enumerate(mapper.primary_key)))
    return (
        select(best.c.place, best.c[_GROUP], target.model, best.c[DISTANCE], best.c.candidates, best.c.farthest)
        .join_from(best, target.model, same)
        .where(*target.conditions(), best.c.place <= number(grouping.groups))
        .order_by(best.c.place, best.c[DISTANCE])
        .options(loading(target.attribute, shape), *apart(target.model))
    )


def _key(index: int) -> str:
    return f"rowspace_key_{index}"


def _best(target: Target[Any], by: GroupKey, grouping: Grouping, where: Where) -> Subquery:
    found = _candidates(target, by, grouping, where)
    group, distance = found.c[_GROUP], found.c[DISTANCE]
    # If a condition leaves only one group, the vector index provides the order.
    nearest_first = by_comparison(distance)
    # A single window: the server discards rows beyond `per_group` while it runs. For `min(distance)` or the number of
    # all rows, it would store every row, on disk, three times for a million rows.
    in_group: dict[str, Any] = {"partition_by": group, "order_by": nearest_first}
    counted = grouping.candidates is not None
    ranked = select(
        *found.c,
        func.row_number().over(**in_group).label("rank"),
        func.first_value(distance, type_=Double()).over(**in_group).label("nearest"),
        (func.count().over() if counted else literal_column("0", Integer())).label("candidates"),
        (func.max(distance).over() if counted else literal_column("0", Double())).label("farthest"),
    ).subquery("rowspace_ranked")
    place = func.dense_rank().over(order_by=(ranked.c.nearest, ranked.c[_GROUP])).label("place")
    kept = ranked.c.rank <= number(grouping.per_group)
    return select(*ranked.c, place).where(kept).subquery("rowspace_best")


def _candidates(target: Target[Any], by: GroupKey, grouping: Grouping, where: Where) -> Subquery:
    distance = distance_to(target)
    keys = [key.label(_key(index)) for index, key in enumerate(inspect(target.model).primary_key)]
    found = (
        select(*keys, by.value.label(_GROUP), distance.label(DISTANCE))
        .select_from(target.model)
        .where(*target.under(where), *by.known())
    )
    if grouping.candidates is not None:
        order = distance if target.quantize is None else approximate_distance(target)
        found = first_of(found, order, grouping.candidates, filtered=bool(where))
    return found.subquery("rowspace_candidates")
