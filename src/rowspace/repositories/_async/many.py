"""Run many searches of one shape in one statement, and those that came back short once more, by the next scan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, TypeVar

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.errors import mapped_errors
from rowspace.repositories._async.dropped import refuse_dropped_under
from rowspace.repositories._async.searching import apply_settings, fetch_rows
from rowspace.repositories.remembered import WIDE
from rowspace.repositories.searches import Scan, Search
from rowspace.repositories.targets import table_of
from rowspace.repositories.transactions import own_session
from rowspace.results import Hit
from rowspace.statements.batch import (
    QUERIES,
    are_up_to,
    count_many,
    key_parameters,
    nearest_keys,
    nearest_many,
    similar_to,
    worth_comparing,
)
from rowspace.statements.few import FEW
from rowspace.statements.identifiers import qualified
from rowspace.statements.search import built, number

__all__ = ["Many", "run_many"]

M = TypeVar("M")

#: The number of queries per statement: all of their rows are in memory, a hundred thousand with k=100.
_AT_ONCE = 1_000

#: The number of queries from which counting the matching rows pays, which may be a pass over the table.
_PAYS = 10


@dataclass(frozen=True, slots=True)
class Many(Generic[M]):
    """Searches that differ only in their queries.

    Args:
        search: what they share; its parameters hold no query.
        queries: vectors of the column's type; or, with `stored`, primary keys.
        stored: search by the embeddings of rows that are there.
        keys_only: hits have the key of a row as a tuple, in place of the row.
    """

    search: Search[M]
    queries: Sequence[Any]
    stored: bool = False
    keys_only: bool = False

    def parts(self, pending: Sequence[int]) -> Iterator[Sequence[int]]:
        """Split the positions of the remaining queries into parts for one statement each."""
        size = 1 if self.stored else _AT_ONCE
        return (pending[start : start + size] for start in range(0, len(pending), size))

    def parameters(self, part: Sequence[int]) -> dict[str, Any]:
        """Return the parameters of the statement for some of the queries."""
        given = [self.queries[index] for index in part]
        queries = key_parameters(self.search.target, given[0]) if self.stored else {QUERIES: given}
        return {**self.search.parameters, **queries}

    def statement(self, scan: Scan, *, columns: bool) -> Select[int, M, float]:
        """Return the statement of one scan; see `Search.statement`."""
        search, shape = self.search, self.search.shape_of(scan, columns=columns)
        build: Any = similar_to if self.stored else nearest_many
        return built(build, search.target, shape, search.where, keep=search.keep, found_once=scan == "among")


async def run_many(session: AsyncSession, many: Many[M]) -> list[list[Hit[M]]]:
    """Return the hits of each query, nearest first: k of them if k rows match."""
    found: list[list[Hit[M]]] = [[] for _ in many.queries]
    pending: Sequence[int] = range(len(many.queries))
    scans: tuple[Scan, ...]
    with mapped_errors():
        scans = ("among",) if await _are_few(session, many) else many.search.scans()
        for scan in scans:
            await apply_settings(session, many.search, scan)
            for part in many.parts(pending):
                for index, hits in zip(part, await _fetch(session, many, scan, part), strict=True):
                    found[index] = hits
            pending = [index for index in pending if len(found[index]) < many.search.shape.k]
            if not pending or scan == scans[-1]:
                break
            pending = await _gave_up(session, many, pending)
        if many.queries and not any(found):
            await refuse_dropped_under(session, many.search)
    return found


async def _are_few(session: AsyncSession, many: Many[Any]) -> bool:
    """Return whether so few rows match that they should be found once for all queries."""
    search, found_by = many.search, many.search.found_by
    if not search.where or search.settings.iterative_scan is not None:
        return False
    target = search.target
    bind = own_session(session).get_bind(target.model)
    if len(many.queries) < _PAYS:
        # Counting rows that an index finds is cheap, and it is known if an earlier count was large.
        if found_by is None or WIDE.get(bind, found_by):
            return False
        most = number(FEW)
    else:
        connection = await session.connection(bind_arguments={"mapper": target.model})
        table = qualified(*table_of(target, search.collection, connection))
        most = worth_comparing(table, search.shape.k, target.type.dimension)
    few = bool(await session.scalar(are_up_to(target, most, search.where), search.parameters))
    if not few and found_by is not None:
        WIDE.keep(bind, found_by, value=True)
    return few


async def _fetch(session: AsyncSession, many: Many[M], scan: Scan, part: Sequence[int]) -> list[list[Hit[M]]]:
    similarity = many.search.target.distance.similarity
    parameters = many.parameters(part)
    if many.keys_only:
        shape, among = many.search.shape_of(scan), scan == "among"
        keys = nearest_keys(many.search.target, shape, many.search.where, found_once=among)
        found = [(at, tuple(key), distance) for at, *key, distance in await session.execute(keys, parameters)]
        rows: Iterable[Sequence[Any]] = found
    else:
        rows = await fetch_rows(session, many.search, partial(many.statement, scan), parameters)
    hits: list[list[Hit[M]]] = [[] for _ in part]
    for position, entity, distance in rows:
        hits[position - 1].append(Hit(entity, distance, similarity(distance)))
    return hits


async def _gave_up(session: AsyncSession, many: Many[Any], pending: Sequence[int]) -> Sequence[int]:
    """Return the queries for which the index found too few candidates, not counting effects of the distance limits."""
    search = many.search
    if not search.shape.max_distance:
        return pending
    shape = search.shape_of("plain")
    wanted = shape.candidates or shape.k
    # All re-ranked candidates, not the k nearest of them.
    statement = count_many(search.target, replace(shape, k=wanted), search.where, stored=many.stored)
    short = []
    for part in many.parts(pending):
        for position, candidates in await session.execute(statement, many.parameters(part)):
            if candidates < wanted:
                short.append(part[position - 1])
    return short
