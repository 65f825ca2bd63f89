"""Sync code is sync and async code is async: no event loop and no thread of Rowspace's own."""

from __future__ import annotations

import asyncio
import threading

import pytest
from sqlalchemy import inspect, make_url

from rowspace import (
    AsyncBrowseRepository,
    AsyncCollectionRepository,
    AsyncDatabase,
    AsyncDocumentRepository,
    AsyncDocumentService,
    AsyncSearchRepository,
    Database,
    Document,
    DocumentService,
    SearchRepository,
)
from rowspace.errors import ConfigurationError
from rowspace.testing import HashingEmbedder

TEXTS = ["vector database", "apple pie"]


@pytest.fixture(scope="module")
def url(new_module_database):
    return make_url(new_module_database())


def in_sync(url, name):
    with Database.open(url) as database:
        service = DocumentService(database, HashingEmbedder())
        service.create_collection(name)
        service.add(name, TEXTS)
        return service.search(name, "database", k=1)[0].content, threading.enumerate()


async def in_async(url, name):
    async with AsyncDatabase.open(url) as database:
        service = AsyncDocumentService(database, HashingEmbedder())
        await service.create_collection(name)
        await service.add(name, TEXTS)
        hits = await service.search(name, "database", k=1)
        return hits[0].content, asyncio.all_tasks() - {asyncio.current_task()}


def test_sync_code_starts_no_thread(url):
    before = threading.enumerate()
    assert in_sync(url, "alone") == ("vector database", before)


def test_sync_code_runs_where_an_event_loop_runs_already(url):
    async def notebook():
        loop, before = asyncio.get_running_loop(), threading.enumerate()
        assert in_sync(url, "notebook") == ("vector database", before)
        assert asyncio.get_running_loop() is loop
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(notebook())


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_async_code_runs_in_one_loop_after_the_other(url, driver):
    there = url.set(drivername=f"postgresql+{driver}")
    for name in ("first", "second"):
        # asyncio.run closes the loop; what had stayed in it would be an error of the next one.
        assert asyncio.run(in_async(there, f"{name} {driver}")) == ("vector database", set())


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_a_collection_that_a_rollback_has_expired_is_refused_until_it_is_refreshed(url, driver):
    async def main():
        async with (
            AsyncDatabase.open(url.set(drivername=f"postgresql+{driver}")) as database,
            database.session() as session,
        ):
            collection = await AsyncCollectionRepository(session).create(f"expired {driver}", 3)
            await session.commit()
            documents = AsyncDocumentRepository(session, collection)
            browse = AsyncBrowseRepository(session, collection)
            assert await documents.count() == 0
            await session.rollback()
            assert repr(collection) == f"<Collection {inspect(collection).identity}, not loaded>"
            with pytest.raises(ConfigurationError, match="has expired this collection"):
                await documents.nearest([1, 2, 3])
            with pytest.raises(ConfigurationError, match="has expired"):
                await documents.count()
            page = await browse.scroll(order_by=Document.created_at)
            assert (page.items, [row async for row in browse.stream(order_by=Document.created_at)]) == ([], [])
            with pytest.raises(ConfigurationError, match="has expired"):
                await browse.scroll(order_by="year")
            with pytest.raises(ConfigurationError, match="has expired"):
                AsyncSearchRepository(session, collection)
            with pytest.raises(ConfigurationError, match="has expired"):
                AsyncSearchRepository(session, collection, distance="l2")
            # What runs in the session's own greenlet can load it.
            assert await session.run_sync(lambda own: SearchRepository(own, collection).nearest_many([[1, 2, 3]])) == [
                []
            ]
            await session.rollback()
            await session.refresh(collection)
            assert await documents.count() == 0

    asyncio.run(main())
