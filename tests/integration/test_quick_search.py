"""The quick search works on the driver's cursor: what SQLAlchemy's connection would have seen to is seen to.

The connections of threads at the end, as they are handed out in another way.
"""

from __future__ import annotations

import asyncio
import logging

import pytest
from sqlalchemy import event, make_url, text
from sqlalchemy.exc import DBAPIError

from rowspace import AsyncDatabase, AsyncDocumentService, Collection, Database, DocumentService
from rowspace.errors import CollectionNotFound, DimensionMismatch, EmbedderMismatch, StoreUnavailable
from rowspace.services import AsyncQuickSearch, QuickSearch, SearchRequest, lanes
from rowspace.testing import HashingEmbedder

REQUEST = SearchRequest(vector=[1.0, 7.0], k=2)
ROWS = [{"id": str(x), "content": f"point {x}", "metadata": {"x": x}, "embedding": [1, x]} for x in range(20)]


@pytest.fixture(params=["psycopg", "asyncpg"])
async def database(request, new_database):
    """A database with one connection, so that whoever is next gets what the last one left."""
    url = make_url(new_database()).set(drivername=f"postgresql+{request.param}")
    async with AsyncDatabase.open(url, pool_size=1, max_overflow=0, pool_timeout=2) as opened:
        service = AsyncDocumentService(opened)
        await service.create_collection("points", 2)
        await service.add("points", ROWS)
        yield opened


@pytest.fixture
async def quick(database):
    opened = AsyncQuickSearch(database)
    await opened.search("points", REQUEST)
    return opened


async def found(quick) -> list[str]:
    return [hit.id for hit in await quick.search("points", REQUEST)]


async def test_it_does_not_remember_collections_for_ever(database, quick, monkeypatch):
    monkeypatch.setattr("rowspace.services._async.quick._COLLECTIONS", 2)
    service = AsyncDocumentService(database)
    for name in ("lines", "planes", "spaces"):
        await service.create_collection(name, 2)
        assert await quick.search(name, REQUEST) == []
        await service.add(name, ROWS)
        assert [hit.id for hit in await quick.search(name, REQUEST)] == ["7", "8"]
        assert len(quick._known) <= 2
    assert await found(quick) == ["7", "8"]


async def test_it_keeps_off_sqlalchemys_connection(quick, monkeypatch):
    monkeypatch.delattr(lanes, "_fetch")
    assert await found(quick) == ["7", "8"]


@pytest.mark.parametrize("name", ["before_execute", "after_execute", "before_cursor_execute", "after_cursor_execute"])
async def test_who_listens_hears_of_it(database, quick, name):
    heard = []
    event.listen(database.engine.sync_engine, name, lambda *arguments: heard.append(arguments))
    assert await found(quick) == ["7", "8"]
    assert len(heard) == 1


async def test_who_logs_sees_it(new_database, database, caplog):
    caplog.set_level(logging.INFO, "sqlalchemy.engine")
    async with AsyncDatabase.open(database.engine.url, echo=True) as loud:
        assert await found(AsyncQuickSearch(loud)) == ["7", "8"]
    assert "collections.xmin AS TEXT" in caplog.text


async def test_the_next_transaction_is_one(database, quick):
    await found(quick)
    async with database.session() as session:
        session.add(Collection(name="gone", dimension=2, distance="cosine"))
        await session.flush()
        await session.rollback()
    async with database.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM collections WHERE name = 'gone'")) == 0
    assert await found(quick) == ["7", "8"]


async def test_a_connection_that_broke_is_said_to_have_and_replaced(database, quick):
    # Without the pool's ping, which would notice before the search does.
    async with AsyncDatabase.open(database.engine.url, pool_size=1, pool_pre_ping=False) as unchecked:
        broken = AsyncQuickSearch(unchecked)
        await found(broken)
        async with database.begin() as session:
            others = "datname = current_database() AND pid <> pg_backend_pid()"
            await session.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))
        with pytest.raises(StoreUnavailable) as caught:
            await found(broken)
        assert "7.0" not in f"{caught.value} {caught.value.__cause__}"
        assert await found(broken) == ["7", "8"]
        assert unchecked.engine.pool.checkedout() == 0


async def test_the_extension_made_anew_is_no_error_to_whoever_has_one_connection(database, quick):
    await found(quick)
    async with database.begin() as session:
        for statement in ("DROP EXTENSION vector CASCADE", "CREATE EXTENSION vector"):
            await session.execute(text(statement))
        await session.execute(text("ALTER TABLE documents ADD embedding vector"))
        await session.execute(text("UPDATE documents SET embedding = format('[1,%s]', id)::vector"))
    for _ in range(2):
        assert await found(quick) == ["7", "8"]


async def test_an_error_is_sqlalchemys_and_costs_no_connection(database, quick):
    async with database.begin() as session:
        await session.execute(text("ALTER TABLE documents RENAME COLUMN content TO body"))
    with pytest.raises(DBAPIError, match="content"):
        await found(quick)
    async with database.begin() as session:
        await session.execute(text("ALTER TABLE documents RENAME COLUMN body TO content"))
    assert await found(quick) == ["7", "8"]
    assert database.engine.pool.checkedout() == 0


async def test_an_altered_table_costs_no_search(database, quick):
    for _ in range(6):  # then psycopg has it prepared
        await found(quick)
    async with database.begin() as session:
        await session.execute(text("ALTER TABLE documents ALTER content TYPE varchar(99)"))
    assert [await found(quick) for _ in range(2)] == [["7", "8"]] * 2
    assert database.engine.pool.checkedout() == 0


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_a_search_that_was_cancelled_costs_no_connection(database, quick, times):
    async with AsyncDatabase.open(database.engine.url) as other, other.begin() as session:
        await session.execute(text("LOCK TABLE documents"))
        search = asyncio.create_task(found(quick))
        while not await session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for _ in range(times):
            search.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await search
    assert await found(quick) == ["7", "8"]
    assert database.engine.pool.checkedout() == 0


async def test_an_engine_in_autocommit_stays_so(database):
    async with AsyncDatabase.open(database.engine.url, pool_size=1, isolation_level="AUTOCOMMIT") as opened:
        quick = AsyncQuickSearch(opened)
        for _ in range(2):
            assert await found(quick) == ["7", "8"]
        async with opened.engine.connect() as connection:
            await connection.execute(text("CREATE TABLE kept ()"))
        async with opened.engine.connect() as connection:
            assert await connection.scalar(text("SELECT to_regclass('kept') IS NOT NULL"))


async def test_many_at_once_share_what_connections_there_are(database):
    async with AsyncDatabase.open(database.engine.url, pool_size=2, max_overflow=0) as opened:
        quick = AsyncQuickSearch(opened)
        requests = [SearchRequest(vector=[1.0, float(x)], k=1) for x in range(20)] * 5
        hits = await asyncio.gather(*(quick.search("points", request) for request in requests))
        assert [hit.id for [hit] in hits] == [str(x) for x in range(20)] * 5
        assert opened.engine.pool.checkedout() == 0
        async with opened.session() as session:
            here = "datname = current_database() AND state LIKE 'idle in%'"
            assert await session.scalar(text(f"SELECT count(*) FROM pg_stat_activity WHERE {here}")) == 0


@pytest.mark.parametrize("name", ["no\0such", "\ud800", "none"])
async def test_a_collection_that_cannot_be_is_not_found(quick, name):
    with pytest.raises(CollectionNotFound):
        await quick.search(name, REQUEST)


async def test_a_collection_that_was_made_anew_has_another_dimension(database, quick):
    service = AsyncDocumentService(database)
    await service.drop_collection("points")
    await service.create_collection("points", 3)
    await service.add("points", [{"id": "new", "content": "a point", "embedding": [1, 2, 3]}])
    assert [hit.id for hit in await quick.search("points", SearchRequest(vector=[1, 2, 3], k=2))] == ["new"]
    with pytest.raises(DimensionMismatch, match="Expected 3 dimensions, got 2"):
        await found(quick)


async def test_a_collection_that_was_re_embedded_has_another_embedder(database):
    before, after = HashingEmbedder(8), HashingEmbedder(16)
    service = AsyncDocumentService(database, before)
    await service.create_collection("texts")
    await service.add("texts", [{"id": "a", "content": "word"}])
    old, new = AsyncQuickSearch(database, before), AsyncQuickSearch(database, after)
    request = SearchRequest(text="word", k=1)
    assert [hit.id for hit in await old.search("texts", request)] == ["a"]
    with pytest.raises(EmbedderMismatch):
        await new.search("texts", request)
    await service.reembed("texts", after)
    assert [hit.id for hit in await new.search("texts", request)] == ["a"]
    with pytest.raises(EmbedderMismatch):
        await old.search("texts", request)


@pytest.fixture(params=["psycopg", "psycopg2"])
def shared(request, new_database):
    """The same database for threads."""
    url = make_url(new_database()).set(drivername=f"postgresql+{request.param}")
    with Database.open(url, pool_size=1, max_overflow=0, pool_timeout=2) as opened:
        service = DocumentService(opened)
        service.create_collection("points", 2)
        service.add("points", ROWS)
        yield opened


def ids(quick) -> list[str]:
    return [hit.id for hit in quick.search("points", REQUEST)]


def test_threads_get_an_error_that_costs_neither_connection_nor_transaction(shared):
    quick = QuickSearch(shared)
    assert ids(quick) == ["7", "8"]
    with shared.begin() as session:
        session.execute(text("ALTER TABLE documents RENAME COLUMN content TO body"))
    with pytest.raises(DBAPIError, match="content"):
        ids(quick)
    with shared.session() as session:
        session.execute(text("ALTER TABLE documents RENAME COLUMN body TO content"))
        session.rollback()
    with shared.begin() as session:
        session.execute(text("ALTER TABLE documents RENAME COLUMN body TO content"))
    assert ids(quick) == ["7", "8"]
    with shared.session() as session:
        session.execute(text("DELETE FROM documents"))
        session.rollback()
    assert ids(quick) == ["7", "8"]
    assert shared.engine.pool.checkedout() == 0


def test_threads_get_another_connection_for_one_that_broke(shared):
    with Database.open(shared.engine.url, pool_size=1, max_overflow=0, pool_pre_ping=False) as unchecked:
        quick = QuickSearch(unchecked)
        assert ids(quick) == ["7", "8"]
        with shared.begin() as session:
            others = "datname = current_database() AND pid <> pg_backend_pid()"
            session.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))
        with pytest.raises(StoreUnavailable):
            ids(quick)
        assert ids(quick) == ["7", "8"]
        assert unchecked.engine.pool.checkedout() == 0


def test_threads_find_an_engine_in_autocommit_as_it_was(shared):
    with Database.open(shared.engine.url, pool_size=1, isolation_level="AUTOCOMMIT") as opened:
        quick = QuickSearch(opened)
        for _ in range(2):
            assert ids(quick) == ["7", "8"]
        with opened.engine.connect() as connection:
            connection.execute(text("CREATE TABLE kept ()"))
        with opened.engine.connect() as connection:
            assert connection.scalar(text("SELECT to_regclass('kept') IS NOT NULL"))
