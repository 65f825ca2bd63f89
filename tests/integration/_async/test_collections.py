"""Collections: their partitions, their names, and what a failure leaves of the caller's transaction."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import inspect, select, text

from rowspace import (
    HNSW,
    AsyncCollectionRepository,
    AsyncDocumentRepository,
    AsyncIndexAdvisor,
    Collection,
    Distance,
    IVFFlat,
    SearchSettings,
)
from rowspace.errors import CollectionExists, CollectionNotFound, ConfigurationError, InvalidRow, InvalidText
from rowspace.indexes import from_dict

PARTITIONS = text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'documents'::regclass")
NAMES = ["plain", "O'Brien", '"quoted"', "100 % of it", "新闻 库", ":colon $1 %s {}", "a;--b", "\\back"]


@pytest.fixture
async def collections(session):
    return AsyncCollectionRepository(session)


async def partitions(session):
    return set(await session.scalars(PARTITIONS))


async def test_create_and_get(collections, session):
    made = await collections.create(
        "news",
        3,
        distance=Distance.L2,
        index=HNSW(Distance.L2, m=8),
        language="english",
        embedder="e",
        metadata={"owner": "me", "since": 2024},
    )
    session.expunge_all()
    found = await collections.get("news")
    assert found is not made
    assert (found.name, found.dimension, found.metric, found.language) == ("news", 3, Distance.L2, "english")
    assert (found.embedder, found.meta) == ("e", {"owner": "me", "since": 2024})
    assert from_dict(found.index) == HNSW(Distance.L2, m=8)
    assert found.created_at.tzinfo is not None
    assert repr(found) == "<Collection 'news': 3 dimensions, l2>"
    assert await partitions(session) == {found.partition}


async def test_a_dimension_of_numpy(collections, session):
    vectors = np.eye(3, dtype=np.float32)
    made = await collections.create("news", np.int64(vectors.shape[1]))
    assert type(made.dimension) is int
    rows = [{"id": str(n), "content": "c", "embedding": vector} for n, vector in enumerate(vectors)]
    await AsyncDocumentRepository(session, made).upsert(rows)
    assert [hit.entity.id for hit in await AsyncDocumentRepository(session, made).nearest(vectors[1], 1)] == ["1"]


@pytest.mark.parametrize("name", NAMES)
async def test_names(collections, session, name):
    await collections.create(name, 3)
    assert (await collections.get(name)).name == name
    await collections.rename(name, f"{name}!")
    assert [collection.name for collection in await collections.list()] == [f"{name}!"]
    await collections.drop(f"{name}!")
    assert await partitions(session) == set()


async def test_the_list_is_by_name(collections):
    for name in ("b", "a", "c"):
        await collections.create(name, 3)
    assert [collection.name for collection in await collections.list()] == ["a", "b", "c"]


async def test_what_is_not_there(collections):
    for action in (collections.get, collections.drop):
        with pytest.raises(CollectionNotFound, match=r"^There is no collection 'none'\.$"):
            await action("none")
    with pytest.raises(CollectionNotFound):
        await collections.rename("none", "other")


async def test_a_name_that_is_taken_leaves_the_transaction_usable(collections, session):
    await collections.create("a", 3)
    second = await collections.create("b", 3)
    before = await partitions(session)
    with pytest.raises(CollectionExists, match=r"^There is already a collection 'a'\.$"):
        await collections.create("a", 5)
    with pytest.raises(CollectionExists, match=r"^There is already a collection 'a'\.$"):
        await collections.rename("b", "a")
    assert await partitions(session) == before
    assert (await collections.get("a")).dimension == 3
    assert (await collections.get("b")).id == second.id
    await collections.rename("b", "c")
    assert second.updated_at >= second.created_at


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"language": "klingon"}, ConfigurationError, "no text-search configuration 'klingon'"),
        ({"language": "it's"}, ConfigurationError, 'no text-search configuration "it\'s"'),
        ({"distance": "hamming"}, ConfigurationError, "got 'hamming'"),
        ({"metadata": {"a": "\0"}}, InvalidText, "NUL"),
        ({"metadata": {"a": float("nan")}}, InvalidRow, "nan, which has no JSON form"),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_is_made(collections, session, options, kind, message):
    with pytest.raises(kind, match=message):
        await collections.create("news", 3, **options)
    assert await collections.list() == []
    assert await partitions(session) == set()


async def test_drop_takes_the_documents_along_and_frees_the_name(collections, session):
    made = await collections.create("news", 2)
    await AsyncDocumentRepository(session, made).upsert([{"id": "1", "content": "c", "embedding": [1, 2]}])
    await collections.drop("news")
    assert await session.scalar(text("SELECT count(*) FROM documents")) == 0
    again = await collections.create("news", 3)
    assert again.id != made.id
    assert await AsyncDocumentRepository(session, again).count() == 0


async def test_rollback_takes_a_collection_back(collections, session):
    await collections.create("kept", 3)
    savepoint = await session.begin_nested()
    await collections.create("gone", 3)
    await savepoint.rollback()
    assert [collection.name for collection in await collections.list()] == ["kept"]
    assert len(await partitions(session)) == 1


async def test_the_server_holds_to_the_dimension(collections, session):
    made = await collections.create("news", 2)
    insert = text(f"INSERT INTO documents (collection_id, id, content, embedding) VALUES ({made.id}, 'x', '', '[1]')")
    with pytest.raises(Exception, match=r"ck_documents_\d+_dimension"):
        async with session.begin_nested():
            await session.execute(insert)


async def test_each_collection_has_its_own_dimension_distance_and_ids(collections, session):
    one = AsyncDocumentRepository(session, await collections.create("one", 2, distance="l2"))
    two = AsyncDocumentRepository(session, await collections.create("two", 3, distance="inner_product"))
    await one.upsert([{"id": "same", "content": "of one", "embedding": [1, 0]}])
    await two.upsert([{"id": "same", "content": "of two", "embedding": [0, 0, 2]}])
    (first,), (second,) = await one.nearest([0, 0]), await two.nearest([0, 0, 1])
    assert (first.entity.content, first.distance) == ("of one", 1)
    assert (second.entity.content, second.distance) == ("of two", -2)
    assert [document.content for document in await two.get(["same"])] == ["of two"]
    assert await one.delete(["same"]) == 1
    assert await two.count() == 1


@pytest.mark.parametrize(
    ("index", "method"), [("hnsw", "hnsw"), (IVFFlat(), "ivfflat"), (HNSW(quantize="halfvec"), "hnsw"), (None, None)]
)
async def test_indexes(collections, session, index, method):
    made = await collections.create("news", 4, index=index)
    repository = AsyncDocumentRepository(session, made)
    vectors = np.random.default_rng(1).normal(size=(50, 4))
    await repository.upsert({"id": str(at), "content": "c", "embedding": v} for at, v in enumerate(vectors))
    await repository.create_indexes()
    await repository.create_indexes()
    query = text("SELECT indexdef FROM pg_indexes WHERE tablename = :table AND indexname LIKE 'ix_%'")
    defined = list(await session.scalars(query, {"table": made.partition}))
    assert sum("USING gin" in one for one in defined) == 2
    assert sum("gin" not in one for one in defined) == (method is not None)
    assert method is None or any(f"USING {method}" in one for one in defined)
    nearest = await repository.nearest(vectors[7], 5)
    by_cosine = np.argsort(-(vectors @ vectors[7]) / np.linalg.norm(vectors, axis=1))[:5]
    assert [int(hit.entity.id) for hit in nearest] == by_cosine.tolist()


@pytest.mark.parametrize("value", ["50%", "%s %(a)s", "it's", ':x \\ "', "$1 {}"])
async def test_the_condition_of_a_partial_index_may_hold_any_text(collections, session, value):
    made = await collections.create("news", 2, index=HNSW(where={"share": value}))
    repository = AsyncDocumentRepository(session, made)
    await repository.upsert([{"id": "a", "content": "c", "embedding": [1, 2], "meta": {"share": value}}])
    await repository.create_indexes()
    await session.execute(text("SET LOCAL enable_seqscan = off"))
    # Not compared at once, few as they are.
    walk = SearchSettings(iterative_scan="relaxed_order")
    plan = await AsyncIndexAdvisor(session, made).explain([1, 2], where={"share": value}, settings=walk)
    assert (plan.index, plan.rows_returned) == (f"ix_{made.partition}_embedding", 1)


async def test_the_embedder_is_kept_when_it_becomes_known(collections, session):
    made = await collections.create("news", 2)
    assert made.embedder is None
    made.embedder = "e"
    await session.flush()
    assert "updated_at" not in inspect(made).unloaded
    assert await session.scalar(select(Collection.embedder)) == "e"


@pytest.mark.parametrize("name", ["a\0", "\ud800", 5, None])
async def test_what_cannot_be_a_name_is_that_of_no_collection(collections, name):
    with pytest.raises(CollectionNotFound, match="There is no collection "):
        await collections.get(name)
    assert await collections.list() == []
