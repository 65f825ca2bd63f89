"""Run a nearest-neighbour search in a session: settings, statement, and the exact scan where the index fell short."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.util import greenlet_spawn

from rowspace.errors import mapped_errors
from rowspace.repositories._async.dropped import refuse_dropped_under
from rowspace.repositories.entities import Statement, fetch, plain_session
from rowspace.repositories.in_force import not_in_force, refuse_autocommit
from rowspace.repositories.narrow import FEW, is_few, remember
from rowspace.repositories.searches import Scan, Search
from rowspace.results import Hit
from rowspace.settings import NO_SETTINGS
from rowspace.statements import quantized
from rowspace.statements.search import count_candidates, count_up_to

__all__ = ["apply_settings", "fetch_rows", "run_search"]

M = TypeVar("M")


_distance = attrgetter("distance")


async def run_search(session: AsyncSession, search: Search[M]) -> list[Hit[M]]:
    """Return the hits of a search, nearest first: k of them where k rows match."""
    hits: list[Hit[M]] = []
    with mapped_errors():
        scans = ("few",) if await _few_pass(session, search) else search.scans()
        for scan in scans:
            await apply_settings(session, search, scan)
            hits = await _fetch(session, search, scan)
            if len(hits) >= search.shape.k or scan == scans[-1] or not await _gave_up(session, search):
                break
        if not hits:
            await refuse_dropped_under(session, search)
    return hits


async def _few_pass(session: AsyncSession, search: Search[Any]) -> bool:
    """Tell whether it is known that few rows pass the filter of a search, and find it out where it comes again."""
    known_by = search.filter
    own = None if known_by is None else plain_session(session, search)
    if own is None:
        return False
    bind = own.get_bind(search.target.model)
    few = is_few(bind, known_by)
    if few is None:
        count = await session.scalar(count_up_to(FEW + 1, search.target, search.where), search.parameters)
        few = count is not None and count <= FEW
        remember(bind, known_by, few=few)
    return few


async def apply_settings(session: AsyncSession, search: Search[Any], scan: Scan) -> None:
    """Set what a scan needs, until the transaction ends."""
    model = search.target.model
    settings = search.settings_for(scan)
    if settings is NO_SETTINGS:
        return
    statements = not_in_force(session, model, settings.statements(search.method))
    if not statements:
        return
    connection = await session.connection(bind_arguments={"mapper": model})
    refuse_autocommit(connection, statements)
    for statement in statements:
        await connection.exec_driver_sql(statement)


async def _fetch(session: AsyncSession, search: Search[M], scan: Scan) -> list[Hit[M]]:
    similarity = search.target.distance.similarity
    rows = await fetch_rows(session, search, partial(search.statement, scan), search.parameters)
    hits = [Hit(entity, distance, similarity(distance)) for entity, distance in rows]
    # An earlier search of the transaction may have left the iterative scan on, whose order is relaxed.
    hits.sort(key=_distance)
    return hits


async def fetch_rows(
    session: AsyncSession, search: Search[Any], statement: Statement, parameters: Mapping[str, Any]
) -> Iterable[Sequence[Any]]:
    """Return the rows of a statement with an object of the session in each, by the shortest way that there is."""
    own = plain_session(session, search)
    if own is None:
        return await session.execute(statement(columns=False), parameters)
    rows: Iterable[Sequence[Any]] = await greenlet_spawn(fetch, own, search, statement, parameters)
    return rows


async def _gave_up(session: AsyncSession, search: Search[Any]) -> bool:
    """Tell whether the index had fewer than k candidates, where a maximum distance may have taken rows away."""
    if not search.shape.max_distance:
        return True
    shape = search.shape_of("plain")
    wanted = shape.candidates or shape.k
    count = count_candidates if shape.candidates is None else quantized.count_candidates
    statement = count(search.target, shape, search.where)
    found = await session.scalar(statement, search.parameters)
    return found is not None and found < wanted
