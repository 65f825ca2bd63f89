"""Searches on the async drivers, against asyncpg by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
from pgvector.asyncpg import register_vector
from sqlalchemy import URL

from benchmarks.database import Filled
from benchmarks.harness import Measure, interleave_async
from benchmarks.searching import RUN, raw_sql
from rowspace import AsyncDatabase, AsyncDocumentRepository, AsyncRepository

__all__ = ["measure_async"]

Search = Callable[[Any], Awaitable[Any]]


def measure_async(url: URL, filled: Filled, turns: int) -> list[Measure]:
    """Compare the async repositories on both drivers with a statement that asyncpg has prepared."""
    return asyncio.run(_measure(url, filled, turns))


async def _measure(url: URL, filled: Filled, turns: int) -> list[Measure]:
    measures = []
    async with AsyncExitStack() as stack:
        for driver in ("asyncpg", "psycopg"):
            database = await stack.enter_async_context(AsyncDatabase.open(url.set(drivername=f"postgresql+{driver}")))
            session = await stack.enter_async_context(database.session())
            own, documents = AsyncRepository(session, filled.model), AsyncDocumentRepository(session, filled.collection)
            for repository in (own, documents):
                raw = await _raw_search(url, filled, stack, documents=repository is documents)
                times = await interleave_async(_variants(raw, repository.nearest, filled), turns, warmup=2, run=RUN)
                name = f"{type(repository).__name__} on {driver}, {filled.dimension}-d"
                detail = times.milliseconds("raw", "nearest")
                measures.append(Measure("async", name, times.ratio("nearest", "raw"), detail=detail))
    return measures


def _variants(raw: Search, search: Search, filled: Filled) -> dict[str, Callable[[int], Awaitable[object]]]:
    queries = filled.corpus.queries
    return {"raw": lambda t: raw(queries[t % len(queries)]), "nearest": lambda t: search(queries[t % len(queries)])}


async def _raw_search(url: URL, filled: Filled, stack: AsyncExitStack, *, documents: bool) -> Search:
    connection = await asyncpg.connect(host=url.query["host"], user=url.username, database=url.database)
    stack.push_async_callback(connection.close)
    await register_vector(connection)
    statement: Any = await connection.prepare(raw_sql(filled, "$1", documents=documents))
    fetch: Search = statement.fetch
    return fetch
