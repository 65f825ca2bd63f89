"""Searches on the async drivers, one by one and concurrently, compared with asyncpg alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import asyncpg
from pgvector.asyncpg import register_vector
from sqlalchemy import URL

from benchmarks.database import Filled
from benchmarks.harness import Measure, interleave_async
from benchmarks.searching import RUN, raw_sql
from rowspace import AsyncDatabase, AsyncDocumentRepository, AsyncRepository
from rowspace.services import AsyncQuickSearch, SearchRequest

__all__ = ["measure_async"]

Search = Callable[[Any], Awaitable[Any]]

#: Concurrent tasks, the connections that they share, and the searches in one turn.
TASKS, CONNECTIONS, SEARCHES = 32, 8, 640


def measure_async(url: URL, filled: Filled, turns: int) -> list[Measure]:
    """Compare the async repositories on both drivers with a prepared statement of asyncpg, then concurrent searches."""
    return asyncio.run(_measure(url, filled, turns))


async def _measure(url: URL, filled: Filled, turns: int) -> list[Measure]:
    async with AsyncExitStack() as stack:
        measures = await _one_by_one(url, filled, turns, stack)
    async with AsyncExitStack() as stack:
        return [*measures, *await _at_once(url, filled, max(10, turns // 10), stack)]


async def _one_by_one(url: URL, filled: Filled, turns: int, stack: AsyncExitStack) -> list[Measure]:
    measures = []
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


async def _at_once(url: URL, filled: Filled, turns: int, stack: AsyncExitStack) -> list[Measure]:
    asyncpg_url = url.set(drivername="postgresql+asyncpg")
    opened = AsyncDatabase.open(asyncpg_url, pool_size=CONNECTIONS, max_overflow=0)
    database = await stack.enter_async_context(opened)
    quick = AsyncQuickSearch(database)
    pool = await stack.enter_async_context(
        asyncpg.create_pool(**_connecting(url), min_size=CONNECTIONS, max_size=CONNECTIONS, init=register_vector)
    )
    sql = raw_sql(filled, "$1", documents=True)

    async def raw(query: list[float]) -> Any:
        async with pool.acquire() as connection:
            return await connection.fetch(sql, query)

    async def alone(query: list[float]) -> Any:
        return await quick.search(filled.collection.name, SearchRequest(vector=query))

    async def in_session(query: list[float]) -> Any:
        async with database.session() as session:
            return await AsyncDocumentRepository(session, filled.collection).nearest(query)

    queries = [query.tolist() for query in filled.corpus.queries]
    searches = {"raw": raw, "AsyncQuickSearch": alone, "a session each": in_session}
    times = await interleave_async(
        {name: partial(_all, one, queries) for name, one in searches.items()}, turns, warmup=2
    )
    detail = ", ".join(f"{name} {SEARCHES / times.median(name):,.0f}/s" for name in searches)
    return [
        Measure("async", f"{TASKS} tasks, {name}, {filled.dimension}-d", times.ratio("raw", name), None, least, detail)
        for name, least in (("AsyncQuickSearch", 0.85), ("a session each", None))
    ]


async def _all(search: Search, queries: list[list[float]], turn: int) -> None:
    """Run the searches of a turn. Each task takes the next query as soon as it is free."""
    waiting = iter(queries[number % len(queries)] for number in range(turn * SEARCHES, (turn + 1) * SEARCHES))

    async def task() -> None:
        for query in waiting:
            await search(query)

    await asyncio.gather(*(task() for _ in range(TASKS)))


def _variants(raw: Search, search: Search, filled: Filled) -> dict[str, Callable[[int], Awaitable[object]]]:
    queries = filled.corpus.queries
    return {"raw": lambda t: raw(queries[t % len(queries)]), "nearest": lambda t: search(queries[t % len(queries)])}


async def _raw_search(url: URL, filled: Filled, stack: AsyncExitStack, *, documents: bool) -> Search:
    connection = await asyncpg.connect(**_connecting(url))
    stack.push_async_callback(connection.close)
    await register_vector(connection)
    statement: Any = await connection.prepare(raw_sql(filled, "$1", documents=documents))
    fetch: Search = statement.fetch
    return fetch


def _connecting(url: URL) -> dict[str, Any]:
    return {"host": url.query["host"], "user": url.username, "database": url.database}
