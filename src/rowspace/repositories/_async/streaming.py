"""Results as a stream: a cursor of the server's, read a chunk at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, TypeVar, Unpack

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.util import greenlet_spawn

from rowspace.errors import ConfigurationError, mapped_errors
from rowspace.repositories._async.dropped import refuse_dropped_under
from rowspace.repositories.searches import SearchOptions, plan_search
from rowspace.repositories.subjects import Subject, Where
from rowspace.repositories.transactions import ENDED, transaction_of
from rowspace.results import Hit
from rowspace.settings import check_count
from rowspace.statements.search import QUERY, in_order
from rowspace.wire.portals import close_portal, cursor_of, forget, portal_of

__all__ = ["stream_hits", "stream_rows"]

M = TypeVar("M")


async def stream_hits(
    session: AsyncSession,
    subject: Subject[M],
    query: Any,
    *,
    where: Where | None,
    chunk_size: int,
    **options: Unpack[SearchOptions],
) -> AsyncGenerator[Hit[M], None]:
    """Yield every row that matches as a hit, nearest first."""
    search = plan_search(subject, 1, where, {**options, "exact": True}, query=query)
    # Before the cursor exists: SQLAlchemy would leave it open if a parameter is refused.
    values = {**search.parameters, QUERY: search.target.type.coerce(search.parameters[QUERY])}
    statement: Any = in_order(search.target, search.shape, search.where)
    similarity = search.target.distance.similarity
    async with aclosing(stream_rows(session, statement, values, chunk_size)) as rows:
        distance: float | None = None
        async for entity, distance in rows:
            yield Hit(entity, distance, similarity(distance))
    if distance is None:
        await refuse_dropped_under(session, search)


async def stream_rows(
    session: AsyncSession, statement: Select[Any], values: dict[str, Any], chunk_size: int
) -> AsyncGenerator[Any, None]:
    """Yield the rows of a statement, `chunk_size` of them in memory; closes the cursor however the loop ends.

    Raises:
        ConfigurationError: the transaction was ended within the loop, and there are more rows.
    """
    check_count("chunk_size", chunk_size)
    with mapped_errors():
        rows = await session.stream(statement, values, execution_options={"yield_per": chunk_size})
        begun, portal, cursor = transaction_of(session), portal_of(rows), cursor_of(rows)
        try:
            # In chunks: awaiting each row takes SQLAlchemy several times as long.
            async for chunk in rows.partitions(chunk_size):
                for row in chunk:
                    yield row
                if transaction_of(session) is not begun:
                    if len(chunk) == chunk_size:
                        raise ConfigurationError(ENDED)
                    break
        finally:
            if transaction_of(session) is begun:
                await rows.close()
                await greenlet_spawn(close_portal, portal)
            else:
                forget(cursor)
