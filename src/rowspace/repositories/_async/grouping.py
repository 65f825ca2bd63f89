"""Run a grouped search in a session: among more and more candidates of the index, at last among all rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.errors import mapped_errors
from rowspace.ranking import farness
from rowspace.repositories._async.dropped import refuse_dropped_under
from rowspace.repositories._async.searching import apply_settings
from rowspace.repositories.searches import Search
from rowspace.results import Group, Hit
from rowspace.statements.grouping import Grouping, GroupKey, grouped
from rowspace.statements.search import MAX_DISTANCE

__all__ = ["GroupedSearch", "run_grouped"]

M = TypeVar("M")

# The candidates of the first index scan per requested row, and their minimum; the second scan has ten times as many.
_OVERSAMPLING, _AT_LEAST, _DEEPER = 4, 100, 10


@dataclass(frozen=True, slots=True)
class GroupedSearch(Generic[M]):
    """A search with grouped hits, ready to run.

    Args:
        search: query, conditions and settings.
        by: what the hits of a group have in common.
        grouping: how many groups, and hits of each.
    """

    search: Search[M]
    by: GroupKey
    grouping: Grouping

    @property
    def max_distance(self) -> float | None:
        """The maximum distance of hits; groups without a hit within it are omitted."""
        limit: float | None = self.search.parameters.get(MAX_DISTANCE)
        return limit


@dataclass(frozen=True, slots=True)
class _Found(Generic[M]):
    """The result of one statement: groups, nearest first, and the number and largest distance of their candidates."""

    groups: list[Group[M]]
    candidates: int
    farthest: float


async def run_grouped(session: AsyncSession, search: GroupedSearch[M]) -> list[Group[M]]:
    """Return the groups with the nearest rows, and the nearest rows of each group."""
    with mapped_errors():
        groups = None if search.search.shape.exact else await _by_index(session, search)
        if groups is None:
            groups = (await _fetch(session, search, search.grouping)).groups
        if not groups:
            await refuse_dropped_under(session, search.search)
    return _within(groups, search.max_distance)


async def _by_index(session: AsyncSession, search: GroupedSearch[M]) -> list[Group[M]] | None:
    """Return the groups, or None if an index scan did not find enough of them."""
    wanted, limit = search.grouping, search.max_distance
    await apply_settings(session, search.search, "iterative")
    depth = max(_AT_LEAST, _OVERSAMPLING * wanted.groups * wanted.per_group, search.search.candidates or 0)
    for candidates in (depth, _DEEPER * depth):
        found = await _fetch(session, search, replace(wanted, candidates=candidates))
        # A scan that ended early may have missed near rows.
        if limit is not None and found.farthest > limit and found.candidates == candidates:
            return found.groups
        if len(found.groups) == wanted.groups:
            return await _completed(session, search, found.groups)
        if found.candidates < candidates:
            break
    return None


async def _completed(session: AsyncSession, search: GroupedSearch[M], groups: list[Group[M]]) -> list[Group[M]] | None:
    """Return the groups; those that are not full are read again from all of their rows, which may be farther away.

    None where a key did not find its group: a number that Python has rounded.
    """
    size = search.grouping.per_group
    keys = [group.key for group in groups if len(group.hits) < size]
    if not keys:
        return groups
    rest = await _fetch(session, search, Grouping(len(keys), size), search.by.among(keys))
    if len(rest.groups) < len(keys):
        return None
    full = [group for group in groups if len(group.hits) == size]
    return sorted([*full, *rest.groups], key=lambda group: farness(group.hits[0].distance))


async def _fetch(
    session: AsyncSession, search: GroupedSearch[M], grouping: Grouping, more: Sequence[ColumnElement[bool]] = ()
) -> _Found[M]:
    target = search.search.target
    statement = grouped(target, search.by, grouping, (*search.search.where, *more), shape=search.search.shape)
    places: dict[int, Group[M]] = {}
    candidates, farthest = 0, 0.0
    rows = await session.execute(statement, search.search.parameters)
    for place, key, entity, distance, candidates, farthest in rows:  # noqa: B007 - the last two are the same in each
        hit = Hit(entity, distance, target.distance.similarity(distance))
        places.setdefault(place, Group(key, [])).hits.append(hit)
    return _Found([*places.values()], candidates, farthest)


def _within(groups: list[Group[M]], limit: float | None) -> list[Group[M]]:
    if limit is None:
        return groups
    near = [Group(group.key, [hit for hit in group.hits if hit.distance <= limit]) for group in groups]
    return [group for group in near if group.hits]
