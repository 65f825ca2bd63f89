"""The memory that searches with many different values of `k`, or filters, occupy: `python -m benchmarks.shapes`."""

from __future__ import annotations

import argparse
import asyncio
import gc
from collections.abc import Callable
from typing import Any

import numpy as np
from sqlalchemy import URL, make_url, text

from benchmarks.database import open_database
from benchmarks.memory import memory
from rowspace import AsyncDatabase, CollectionRepository, Database, DocumentRepository
from rowspace.services import AsyncQuickSearch, SearchRequest

#: Fewer rows than most values of k, so that a search also runs the statements that look for more rows.
ROWS, DIMENSION, NAME = 50, 256, "shapes"

_BACKEND = text("""
    SELECT sum(total_bytes) / 1e6, (SELECT count(*) FROM pg_prepared_statements) FROM pg_backend_memory_contexts
""")

#: The options of the n-th search, by theme.
THEMES: dict[str, Callable[[int], dict[str, Any]]] = {
    "k": lambda at: {"k": at},
    "filter": lambda at: {"filter": {f"key {at}": {"$gt": at}, "other": {"$in": [*range(at % 50 + 1)]}}},
}


def main() -> None:
    """Print a line per number of different searches. Each theme and driver has its own connection."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shapes", description=__doc__)
    parser.add_argument("--shapes", type=int, nargs="+", default=[300, 1_000, 2_000])
    parser.add_argument("--times", type=int, default=6, help="of each; from the sixth on psycopg prepares a statement")
    parser.add_argument("--only", choices=THEMES, nargs="+", default=[*THEMES])
    parser.add_argument("--driver", choices=["psycopg", "asyncpg"], nargs="+", default=["psycopg", "asyncpg"])
    options = parser.parse_args()
    with open_database() as database:
        _fill(database)
        url = make_url(database.engine.url)
        for theme in options.only:
            for driver in options.driver:
                asyncio.run(_measure(url.set(drivername=f"postgresql+{driver}"), theme, options.shapes, options.times))


def _fill(database: Database) -> None:
    vectors = np.random.default_rng(1).normal(size=(ROWS, DIMENSION))
    with database.begin() as session:
        collection = CollectionRepository(session).create(NAME, DIMENSION)
        rows = ({"id": str(at), "content": "x", "embedding": vector} for at, vector in enumerate(vectors))
        DocumentRepository(session, collection).upsert(rows)


async def _measure(url: URL, theme: str, shapes: list[int], times: int) -> None:
    async with AsyncDatabase.open(url, pool_size=1, max_overflow=0) as database:
        search, vector = AsyncQuickSearch(database), [1.0] * DIMENSION
        await search.search(NAME, SearchRequest(vector=vector))
        gc.collect()
        before, done = memory("VmRSS"), 0
        for count in sorted(shapes):
            for at in range(done + 1, count + 1):
                for _ in range(times):
                    await search.search(NAME, SearchRequest(vector=vector, **THEMES[theme](at)))
            done = count
            gc.collect()
            async with database.engine.connect() as connection:
                backend, statements = (await connection.execute(_BACKEND)).one()
            print(
                f"{count:>6} {theme} on {url.get_driver_name()}: {memory('VmRSS') - before:.0f} MB more here, "
                f"{backend:.1f} MB and {statements} prepared statements in the server's process",
                flush=True,
            )


if __name__ == "__main__":
    main()
