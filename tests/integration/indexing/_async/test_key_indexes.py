"""An index on a metadata key made and dropped beside running writers, interrupted, and carried over."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import text

from rowspace import (
    AsyncCollectionRepository,
    AsyncDoctor,
    AsyncDocumentRepository,
    AsyncDocumentService,
    AsyncIndexBuilder,
)
from rowspace.errors import CollectionNotFound, ConfigurationError, InvalidFilter
from rowspace.repositories._async import building
from rowspace.services import AsyncQuickSearch, SearchRequest
from rowspace.testing import HashingEmbedder

DIMENSION = 8
#: A name that a dialect might take for a parameter, and the end of a constant.
ODD = "it's %(rowspace_key_0)s"


class StopHere(Exception):
    """Raised by a progress callback that wants the build to end."""


@pytest.fixture
async def collection(database):
    """A collection of 50 documents without indexes, gone afterwards."""
    name = uuid4().hex
    async with database.begin() as session:
        made = await AsyncCollectionRepository(session).create(name, DIMENSION, embedder="hashing", index=None)
        rows = (
            {"id": f"{at:02}", "content": f"text {at}", "meta": {"at": at, ODD: "x"}, "embedding": [at + 1.0] * 8}
            for at in range(50)
        )
        await AsyncDocumentRepository(session, made).upsert(rows)
    yield made
    async with database.begin() as session:
        if name in {one.name for one in await AsyncCollectionRepository(session).list()}:
            await AsyncCollectionRepository(session).drop(name)


async def stored(database, collection):
    async with database.begin() as session:
        return (await AsyncCollectionRepository(session).get(collection.name)).indexed_keys


def states(statuses):
    return {status.name.partition("_key_")[2]: status.state for status in statuses if "_key_" in status.name}


async def test_one_is_made_used_and_dropped(database, collection):
    builder = AsyncIndexBuilder(database.engine, collection)
    for key in ("at", ODD, "at"):
        made = await builder.create_key_index(key)
    assert states(made) == {"at": "valid", ODD: "valid"}
    assert all(status.fits for status in made if "_key_" in status.name)
    assert collection.indexed_keys == await stored(database, collection) == ["at", ODD]
    assert states(await AsyncIndexBuilder(database.engine, collection).status()) == states(made)
    async with database.begin() as session:
        documents = AsyncDocumentRepository(session, collection)
        hits = await documents.nearest([1.0] * 8, where={"at": {"$lt": 3}, ODD: "x"})
        assert {hit.entity.id for hit in hits} == {"00", "01", "02"}
    await builder.drop_key_index("at")
    with pytest.raises(
        ConfigurationError, match=r"no index ix_documents_\d+_key_at to drop; the indexes on keys are ix_.*it's"
    ):
        await builder.drop_key_index("at")
    assert collection.indexed_keys == await stored(database, collection) == [ODD]
    assert states(await builder.status()) == {ODD: "valid"}


async def test_one_that_nobody_asks_for_any_more_is_dropped(database, collection):
    await AsyncIndexBuilder(database.engine, collection).create_key_index("at")
    # As a drop that was stopped between its two steps leaves it.
    async with database.begin() as session:
        left = await AsyncCollectionRepository(session).get(collection.name)
        left.indexed_keys = []
    builder = AsyncIndexBuilder(database.engine, left)
    assert states(await builder.status()) == {"at": "valid"}
    async with database.begin() as session:
        found = {one.subject: one for one in await AsyncDoctor(session).check()}
    finding = found[f"ix_{collection.partition}_key_at"]
    assert (finding.check, finding.severity) == ("forgotten-index", "warning")
    assert f"rowspace index drop {collection.name} --key" in finding.fix
    await builder.drop_key_index("at")
    assert states(await builder.status()) == {}


async def test_it_makes_no_other_index(database, collection):
    made = await AsyncIndexBuilder(database.engine, collection).create_key_index("at", concurrently=False)
    assert {status.state for status in made if status.name.endswith(("_metadata", "_text"))} == {"missing"}


async def test_a_stopped_build_is_asked_for_by_nobody_and_repaired(database, collection, monkeypatch):
    monkeypatch.setattr(building, "_EVERY", 0.01)

    def stop(_progress):
        raise StopHere

    builder = AsyncIndexBuilder(database.engine, collection)
    async with database.begin() as session:
        # The build waits for who has written.
        await session.execute(text(f"UPDATE {collection.partition} SET content = content WHERE id = '01'"))
        with pytest.raises(StopHere):
            await builder.create_key_index("at", progress=stop)
    assert await stored(database, collection) == []
    assert states(await builder.status()) in ({}, {"at": "invalid"})
    await builder.repair()
    assert states(await builder.status()) == {}


async def test_a_search_that_remembers_the_collection_takes_notice(database, collection):
    quick, request = AsyncQuickSearch(database), SearchRequest(vector=[1.0] * 8, k=5, filter={"at": 7})
    for change in (None, "create_key_index", "drop_key_index"):
        if change is not None:
            await getattr(AsyncIndexBuilder(database.engine, collection), change)("at")
        assert [hit.id for hit in await quick.search(collection.name, request)] == ["07"]


async def test_reembedding_carries_them_over(database, collection):
    await AsyncIndexBuilder(database.engine, collection).create_key_index("at")
    await AsyncDocumentService(database).reembed(collection.name, HashingEmbedder(12))
    async with database.begin() as session:
        after = await AsyncCollectionRepository(session).get(collection.name)
    assert (after.dimension, after.indexed_keys) == (12, ["at"])
    assert states(await AsyncIndexBuilder(database.engine, after).status()) == {"at": "valid"}


async def test_what_cannot_be(database, collection):
    builder = AsyncIndexBuilder(database.engine, collection)
    for change in (builder.create_key_index, builder.drop_key_index):
        with pytest.raises(InvalidFilter, match=r"'a\.\.b'"):
            await change("a..b")
        with pytest.raises(ConfigurationError, match="a text, written as in a filter, got 5"):
            await change(5)
    async with database.begin() as session:
        await AsyncCollectionRepository(session).drop(collection.name)
    with pytest.raises(CollectionNotFound, match=collection.name):
        await builder.drop_key_index("at")
