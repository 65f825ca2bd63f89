"""Run a nearest-neighbour search in a session: settings, statement, and the exact scan where the index fell short."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.util import greenlet_spawn

from rowspace.errors import mapped_errors
from rowspace.repositories._async.dropped import refuse_dropped_under
from rowspace.repositories.entities import Statement, fetch, plain_session
from rowspace.repositories.in_force import not_in_force, refuse_autocommit
from rowspace.repositories.remembered import WIDE
from rowspace.repositories.searches import Scan, Search
from rowspace.results import Hit
from rowspace.settings import NO_SETTINGS
from rowspace.statements.search import count_candidates

__all__ = ["apply_settings", "fetch_rows", "run_search", "session_for_few"]

M = TypeVar("M")


_distance = attrgetter("distance")


async def run_search(session: AsyncSession, search: Search[M]) -> list[Hit[M]]:
    """Return the hits of a search, nearest first: k of them if k rows match."""
    hits: list[Hit[M]] = []
    with mapped_errors():
        if search.few and (few := await _among_few(session, search)):
            return few
        scans = search.scans()
        for scan in scans:
            await apply_settings(session, search, scan)
            hits = await _fetch(session, search, scan)
            if len(hits) >= search.shape.k or scan == scans[-1] or not await _gave_up(session, search):
                break
        if not hits:
            await refuse_dropped_under(session, search)
    return hits


async def _among_few(session: AsyncSession, search: Search[M]) -> list[Hit[M]] | None:
    """Return the hits among the rows that an index finds, or None if these are too many or there are none."""
    own = session_for_few(session, search)
    if own is None:
        return None
    statement = partial(search.statement, "few")
    rows: list[Any] = [*await greenlet_spawn(fetch, own, search, statement, search.parameters)]
    if rows and rows[0][0]:
        WIDE.keep(own.get_bind(search.target.model), search.found_by, value=True)
        return None
    return _hits(search, (row[1:] for row in rows)) or None


def session_for_few(session: AsyncSession, search: Search[Any]) -> Session | None:
    """Return the session in which to compare the rows that an index finds; None if they are known to be many."""
    found_by = search.found_by
    own = None if found_by is None else plain_session(session, search)
    return None if own is None or WIDE.get(own.get_bind(search.target.model), found_by) else own


async def apply_settings(session: AsyncSession, search: Search[Any], scan: Scan) -> None:
    """Apply the settings of a scan until the transaction ends."""
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
    rows = await fetch_rows(session, search, partial(search.statement, scan), search.parameters)
    hits = _hits(search, rows)
    # An earlier search of the transaction may have enabled the iterative scan, whose order is relaxed.
    hits.sort(key=_distance)
    return hits


def _hits(search: Search[M], rows: Iterable[Sequence[Any]]) -> list[Hit[M]]:
    similarity = search.target.distance.similarity
    return [Hit(entity, distance, similarity(distance)) for entity, distance in rows]


async def fetch_rows(
    session: AsyncSession, search: Search[Any], statement: Statement, parameters: Mapping[str, Any]
) -> Iterable[Sequence[Any]]:
    """Return the rows of a statement with an object of the session in each, by the fastest possible way."""
    own = plain_session(session, search)
    if own is None:
        return await session.execute(statement(columns=False), parameters)
    rows: Iterable[Sequence[Any]] = await greenlet_spawn(fetch, own, search, statement, parameters)
    return rows


async def _gave_up(session: AsyncSession, search: Search[Any]) -> bool:
    """Return whether the index found fewer than k candidates, if a maximum distance may have removed rows."""
    if not search.shape.max_distance:
        return True
    shape = search.shape_of("plain")
    wanted = shape.candidates or shape.k
    found = await session.scalar(count_candidates(search.target, shape, search.where), search.parameters)
    return found is not None and found < wanted
