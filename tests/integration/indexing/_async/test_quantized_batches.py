"""The other searches over a quantized index: batches, by a stored row, grouped, hybrid."""

from __future__ import annotations

from uuid import uuid4

import numpy as np
import pytest
from sqlalchemy import text

from rowspace import (
    HNSW,
    AsyncCollectionRepository,
    AsyncDocumentRepository,
    AsyncHybridRepository,
    AsyncSearchRepository,
)
from rowspace.exact import exact_nearest
from rowspace.settings import SearchSettings

DIMENSION = 96


@pytest.fixture(params=["halfvec", "bit"])
async def collection(session, vectors, request):
    index = HNSW(quantize=request.param)
    collection = await AsyncCollectionRepository(session).create(uuid4().hex, DIMENSION, index=index)
    documents = AsyncDocumentRepository(session, collection)
    rows = ((str(n), {"group": n % 10}, vector) for n, vector in enumerate(vectors))
    await documents.upsert({"id": id_, "content": f"no{id_}", "meta": meta, "embedding": v} for id_, meta, v in rows)
    await documents.create_indexes()
    # Small as it is, the table would be read as a whole.
    await session.execute(text("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off"))
    return collection


def nearest_of(vectors, query, k):
    return [str(row) for row in exact_nearest(vectors, query, k, distance="ip")[0][0]]


async def scans_of(session, collection):
    name = f"ix_{collection.partition}_embedding"
    return await session.scalar(text("SELECT pg_stat_get_xact_numscans(CAST(:name AS regclass))"), {"name": name})


async def test_a_batch(session, collection, vectors):
    repository = AsyncSearchRepository(session, collection)
    found = await repository.nearest_many(vectors[:30], 10)
    recalls = []
    for query, hits in zip(vectors[:30], found, strict=True):
        assert [hit.distance for hit in hits] == sorted(hit.distance for hit in hits)
        recalls.append(len(set(nearest_of(vectors, query, 10)) & {hit.entity.id for hit in hits}) / 10)
    assert np.mean(recalls) >= 0.95
    assert await scans_of(session, collection) == 30


async def test_by_a_stored_row(session, collection, vectors):
    repository = AsyncSearchRepository(session, collection)
    ids = [hit.entity.id for hit in await repository.similar_to("7", 5)]
    assert len(set(nearest_of(vectors, vectors[7], 6)[1:]) & set(ids)) >= 4
    assert "7" not in ids
    assert await scans_of(session, collection) == 1


async def test_in_groups(session, collection, vectors):
    repository = AsyncSearchRepository(session, collection)
    groups = await repository.grouped(vectors[3], by="group", groups=2, per_group=2)
    assert groups[0].hits[0].entity.id == "3"
    assert await scans_of(session, collection) >= 1


async def test_groups_in_a_range_are_found_where_the_scan_gave_up_before_them(session):
    collection = await AsyncCollectionRepository(session).create(
        uuid4().hex, 2, distance="l2", index=HNSW("l2", quantize="bit")
    )
    documents = AsyncDocumentRepository(session, collection)
    # By their signs the far ones are the nearest.
    rows = [("far", [9, 9])] * 600 + [("near", [-0.1, 0.1])] * 20
    await documents.upsert(
        {"id": str(n), "content": "", "meta": {"kind": kind, "n": n % 20}, "embedding": vector}
        for n, (kind, vector) in enumerate(rows)
    )
    await documents.create_indexes()
    for setting in ("seqscan", "bitmapscan", "sort"):
        await session.execute(text(f"SET LOCAL enable_{setting} = off"))
    early = {"max_distance": 1, "settings": SearchSettings(ef_search=10, max_scan_tuples=1)}
    repository = AsyncSearchRepository(session, collection)
    groups = await repository.grouped([0.1, 0.1], by="kind", where={"n": {"$lt": 1}}, **early)
    assert [group.key for group in groups] == ["near"]


async def test_hybrid(session, collection, vectors):
    hits = await AsyncHybridRepository(session, collection).hybrid("no11", vectors[11], 5)
    assert hits[0].entity.id == "11"
    assert hits[0].distance == pytest.approx(0, abs=1e-6)
    assert await scans_of(session, collection) >= 1


@pytest.mark.parametrize("settings", [{"oversample": 1}, {"oversample": 50}, {"ef_search": 300}])
async def test_settings_count_for_each_query_of_a_batch(session, collection, vectors, settings):
    options = {"settings": SearchSettings(**settings)}
    documents, searches = AsyncDocumentRepository(session, collection), AsyncSearchRepository(session, collection)
    single = [await documents.nearest(query, 5, **options) for query in vectors[:20]]
    batch = await searches.nearest_many(vectors[:20], 5, **options)
    assert [ids_of(hits) for hits in batch] == [ids_of(hits) for hits in single]
    like = await searches.similar_to("7", 5, where={"group": {"$lt": 9}}, **options)
    assert len(like) == 5


async def test_an_index_of_some_rows_orders_those_searches_alone_that_say_which(session, vectors):
    index = HNSW(quantize="bit", where={"group": 3})
    collection = await AsyncCollectionRepository(session).create(uuid4().hex, DIMENSION, index=index)
    documents = AsyncDocumentRepository(session, collection)
    rows = (
        {"id": str(n), "content": "", "meta": {"group": 3 if n % 10 else 4}, "embedding": v}
        for n, v in enumerate(vectors)
    )
    await documents.upsert(rows)
    await documents.create_indexes()
    assert [ids_of(await documents.nearest(query)) for query in vectors[:20]] == [
        nearest_of(vectors, query, 10) for query in vectors[:20]
    ]
    others = {"group": {"$ne": 3}}
    for query in vectors[:20]:
        exact = await documents.nearest(query, where=others, exact=True)
        assert ids_of(await documents.nearest(query, where=others)) == ids_of(exact)
    await session.execute(text("SET LOCAL enable_sort = off"))
    await documents.nearest(vectors[3], where={"group": 3})
    assert await scans_of(session, collection) == 1


def ids_of(hits):
    return [hit.entity.id for hit in hits]
