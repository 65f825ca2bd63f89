"""A task that is cancelled, at whichever of its waits: the pool's one connection serves the next, and nothing is left.

As where a client hangs up, a timeout runs out or a task group fails.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine, Generator
from contextlib import aclosing
from typing import Any

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import (
    HNSW,
    AsyncDatabase,
    AsyncDocumentService,
    AsyncMatrixRepository,
    AsyncRepository,
    SearchSettings,
    Vector,
)
from rowspace.services import AsyncQuickSearch, SearchRequest
from rowspace.testing import HashingEmbedder


class Base(DeclarativeBase):
    pass


class Point(Base):
    __tablename__ = "points"
    __table_args__ = (HNSW("l2").index("embedding"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    embedding = mapped_column(Vector(2), deferred=True)


class Wide(Base):
    __tablename__ = "wide_points"

    id: Mapped[int] = mapped_column(primary_key=True)
    embedding = mapped_column(Vector(2_000))


#: Rows that take several parts.
WIDE = 3_000
FILL = text("INSERT INTO wide_points SELECT x, array_fill(x, ARRAY[2000])::vector FROM generate_series(1, 3000) x")
POINTS = [{"id": x, "embedding": [1, x]} for x in range(150)]
TEXTS = [{"id": str(x), "content": f"text {x}"} for x in range(25)]
SEARCH = SearchRequest(vector=[1.0] * 8, k=2)

#: What is to be gone: transactions, what runs, locks, temporary tables, partitions of no collection.
LEFT = text("""
    SELECT (SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'
              AND backend_type = 'client backend')
         + (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
              AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
         + (SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relkind = 'r')
         + (SELECT count(*) FROM pg_inherits WHERE inhparent = 'documents'::regclass)
         - (SELECT count(*) FROM collections)
""")


#: As they are on a new connection.
SETTINGS = text("""
    SELECT current_setting('hnsw.ef_search'), current_setting('hnsw.iterative_scan'), current_setting('lock_timeout')
""")


class CancelledAt:
    """Awaits a coroutine, and cancels the task at its n-th wait and those that follow: as it begins, or as it ends."""

    def __init__(self, work: Coroutine[Any, Any, object], n: int, *, at_end: bool, times: int) -> None:
        self._work, self._cancelled, self._at_end, self.waits = work, range(n, n + times), at_end, 0

    def __await__(self) -> Generator[Any, Any, None]:
        task: Any = asyncio.current_task()
        error: BaseException | None = None
        while True:
            try:
                waited = self._work.send(None) if error is None else self._work.throw(error)
            except StopIteration:
                return
            self.waits, error = self.waits + 1, None
            if self.waits in self._cancelled:
                if self._at_end and waited is not None:
                    waited.add_done_callback(lambda _: task.cancel())
                else:
                    task.cancel()
            try:
                yield waited
            except BaseException as thrown:  # noqa: BLE001 -- the coroutine is to have it
                error = thrown


async def is_cancelled(work: Coroutine[Any, Any, object], n: int, *, at_end: bool = False, times: int = 1) -> bool:
    """Return whether there was an n-th wait to cancel, and make sure that the caller learns of it."""
    steps = CancelledAt(work, n, at_end=at_end, times=times)

    async def run() -> None:
        await steps

    try:
        await asyncio.create_task(run())
    except asyncio.CancelledError:
        return True
    assert steps.waits < n
    return False


async def upsert(database):
    async with database.begin() as session:
        rows = ({"id": x, "embedding": [1, x]} for x in range(1_000, 1_250))
        assert (await AsyncRepository(session, Point).upsert(rows, batch_size=120)).inserted == 250
        await session.rollback()


async def search(database):
    async with database.begin() as session:
        points = AsyncRepository(session, Point)
        assert len(await points.nearest([1, 7], 60, settings=SearchSettings(ef_search=70))) == 60
        assert [hit.entity.id for hit in await points.nearest([1, 7], 1, where=[Point.id < 5])] == [4]


async def stream(database):
    async with (
        database.begin() as session,
        aclosing(AsyncRepository(session, Point).stream([1, 0], chunk_size=60)) as hits,
    ):
        assert [hit.entity.id async for hit in hits] == [*range(150)]


async def matrices(database):
    async with database.begin() as session:
        async with AsyncMatrixRepository(session, Point).stream([Point.id < 5]) as parts:
            assert [len(part.keys) async for part in parts] == [5]
        async with AsyncMatrixRepository(session, Point).stream() as parts:
            async for _ in parts:
                break


async def matrix_left_early(database):
    async with database.begin() as session, AsyncMatrixRepository(session, Wide).stream() as parts:
        # The server waits for somebody to read on.
        assert len((await anext(parts)).keys) < WIDE


async def collection(database):
    service = AsyncDocumentService(database)
    await service.create_collection("others", 8, exist_ok=True)
    await service.drop_collection("others")


async def quick_search(database):
    quick = AsyncQuickSearch(database)
    for _ in range(2):
        assert len(await quick.search("texts", SEARCH)) == 2


# SQLAlchemy leaves a cursor of psycopg's open that it was interrupted in declaring; it goes with the connection.
unclosed = pytest.mark.filterwarnings("ignore:<psycopg.AsyncServerCursor:ResourceWarning")


@pytest.fixture(params=["psycopg", "asyncpg"])
async def database(request, new_database):
    """A database with one connection, so that whoever is next gets what the last one left."""
    url = make_url(new_database()).set(drivername=f"postgresql+{request.param}")
    async with AsyncDatabase.open(url, pool_size=1, max_overflow=0, pool_timeout=2) as opened:
        async with opened.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
            await connection.execute(FILL)
        async with opened.begin() as session:
            await AsyncRepository(session, Point).upsert(POINTS)
        service = AsyncDocumentService(opened, HashingEmbedder(8))
        await service.create_collection("texts")
        await service.add("texts", TEXTS)
        yield opened


@pytest.fixture
async def nothing_left(database):
    """A function that makes sure that the pool's connection is as new, and nothing is left on the server."""
    aside = create_async_engine(database.engine.url, isolation_level="AUTOCOMMIT", pool_size=1)

    async def look() -> None:
        # SQLAlchemy closes a session in a task of its own, which goes on where the caller is cancelled again.
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
        assert database.engine.pool.checkedout() == 0
        async with database.engine.connect() as connection:
            await connection.execute(text("SELECT '[1]'::vector"))
            assert (await connection.execute(SETTINGS)).one() == ("40", "off", "0")
            assert await connection.scalar(text("SELECT count(*) FROM points")) == 150
        async with asyncio.timeout(10), aside.connect() as connection:
            # A server takes a moment to see that a connection was closed.
            while await connection.scalar(LEFT):  # noqa: ASYNC110 -- nobody tells
                await asyncio.sleep(0.005)

    yield look
    await aside.dispose()


@pytest.mark.parametrize(("at_end", "times"), [(False, 1), (True, 1), (False, 2), (False, 1_000)])
@pytest.mark.parametrize(
    "work",
    [upsert, search, pytest.param(stream, marks=unclosed), matrices, matrix_left_early, collection, quick_search],
)
async def test_it_leaves_nothing(database, nothing_left, work, at_end, times):
    n = 1
    while await is_cancelled(work(database), n, at_end=at_end, times=times):
        await nothing_left()
        n += 1
    assert n > 3
    # Cursors that were left open say so when they go, which is to be here, where it is known.
    gc.collect()


async def test_a_load_goes_on_with_nothing_twice(database, nothing_left):
    service, n, went_on = AsyncDocumentService(database, HashingEmbedder(8)), 1, set()
    await service.create_collection("load")

    def load():
        return service.add("load", TEXTS, batch_size=15, resume="key", build_indexes=False)

    while await is_cancelled(load(), n, at_end=False):
        await nothing_left()
        went_on.add(await service.count("load"))
        report = await load()
        # Of one that was cancelled in its last commit the server has everything, and the key is gone.
        assert (report.received, report.updated, await service.count("load")) == (25, 0, 25)
        await service.delete("load", [row["id"] for row in TEXTS])
        n += 1
    assert {0, 15, 25} >= went_on > {0}
