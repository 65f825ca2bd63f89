"""Bulk loads: rows of any iterable, batch by batch, through a staging table and COPY."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from rowspace.errors import mapped_errors
from rowspace.repositories.batches import Batcher, Plan, aiter_rows, plan_load, schema_of
from rowspace.results import LoadReport
from rowspace.wire.copy import copy_in_async

__all__ = ["upsert_rows"]


async def upsert_rows(
    session: AsyncSession,
    model: type[Any],
    rows: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
    *,
    batch_size: int,
    **options: Any,
) -> LoadReport:
    """Insert or update `rows` by primary key, in the session's transaction; further keywords go to `plan_load`."""
    source = aiter_rows(rows)
    first = await anext(source, None)
    if first is None:
        return LoadReport()
    with mapped_errors():
        # What the session has not flushed comes first: the load may be meant for rows that it is about to add.
        await session.flush()
        connection = await session.connection(bind_arguments={"mapper": model})
        plan = plan_load(model, list(first), schema=schema_of(session.get_bind(mapper=model)), **options)
        batcher = Batcher(plan, first, size=batch_size)
        await connection.exec_driver_sql(plan.merge.create_stage())
        report = await _load(connection, plan, batcher, source)
        await connection.exec_driver_sql(plan.merge.drop_stage())
    return report


async def _load(
    connection: AsyncConnection, plan: Plan, batcher: Batcher, source: AsyncIterator[Mapping[str, Any]]
) -> LoadReport:
    inserted = updated = 0
    while True:
        while not batcher.full and (row := await anext(source, None)) is not None:
            batcher.add(row)
        if not len(batcher):
            break
        await copy_in_async(connection, plan.merge, batcher.take())
        counts: Any = (await connection.exec_driver_sql(plan.merge.merge())).one()
        await connection.exec_driver_sql(plan.merge.clear_stage())
        inserted, updated = inserted + counts[0], updated + counts[1]
    # A row that came in two batches was merged twice: the second time counts as a duplicate, not as an update.
    return LoadReport(batcher.received, inserted, updated - batcher.again, 0, batcher.duplicates)
