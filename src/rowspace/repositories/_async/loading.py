"""Bulk loads: rows of any iterable, batch by batch, through a staging table and COPY."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from typing import Any

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from rowspace.errors import mapped_errors
from rowspace.repositories.batches import Batcher, Plan, aiter_rows, plan_load
from rowspace.results import LoadReport
from rowspace.wire.copy import copy_in_async

__all__ = ["schema_of", "upsert_rows"]


async def schema_of(connection: AsyncConnection) -> str | None:
    """Return the schema that stands for tables without one on this connection's engine."""
    options = await connection.get_execution_options()
    schema: str | None = (options.get("schema_translate_map") or {}).get(None)
    return schema


async def upsert_rows(
    session: AsyncSession,
    table: Table,
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
        connection = await session.connection(bind_arguments={"clause": table})
        plan = plan_load(table, list(first), schema=await schema_of(connection), **options)
        batcher = Batcher(plan, first)
        await connection.exec_driver_sql(plan.merge.create_stage())
        report = await _load(connection, plan, batcher, source, batch_size)
        await connection.exec_driver_sql(plan.merge.drop_stage())
    return report


async def _load(
    connection: AsyncConnection,
    plan: Plan,
    batcher: Batcher,
    source: AsyncIterator[Mapping[str, Any]],
    batch_size: int,
) -> LoadReport:
    inserted = updated = 0
    while True:
        while len(batcher) < batch_size and (row := await anext(source, None)) is not None:
            batcher.add(row)
        if not len(batcher):
            break
        await copy_in_async(connection, plan.merge, batcher.take())
        new, old = (await connection.exec_driver_sql(plan.merge.merge())).one()
        await connection.exec_driver_sql(plan.merge.clear_stage())
        inserted, updated = inserted + new, updated + old
    # A row that came in two batches was merged twice: the second time counts as a duplicate, not as an update.
    return LoadReport(batcher.received, inserted, updated - batcher.again, 0, batcher.duplicates)
