"""Metadata keys that have an index of their own: filters by ranges find their rows by it, and mean what they did."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rowspace import (
    AsyncBrowseRepository,
    AsyncCollectionRepository,
    AsyncDocumentRepository,
    AsyncHybridRepository,
    AsyncIndexAdvisor,
    AsyncMatrixRepository,
    AsyncSearchRepository,
    Database,
    DocumentService,
)

ROWS = 3_000
VECTORS = np.random.default_rng(9).normal(size=(ROWS, 8)).astype(np.float32)


def metadata(at):
    """Return that of a row: numbers, dates, and what is of another type here and there."""
    odd = {7: None, 8: "1999", 9: [at], 10: True}
    return {
        "at": odd.get(at, at),
        "day": f"2024-{at % 12 + 1:02}-{at % 28 + 1:02}",
        "by": {"name": ["Ada", "Änne", "张三"][at % 3]},
        "batch": at // 1_000,
    } | ({"rare": at} if at % 10 == 0 else {})


@pytest.fixture(scope="module")
def shared_url(new_module_database):
    """A database for this module, with the same documents in a collection with such indexes and in one without."""
    url = new_module_database()
    with Database.open(url) as database:
        service = DocumentService(database)
        for name, keys in (("keyed", ["at", "day", "by.name", "rare"]), ("plain", [])):
            service.create_collection(name, 8, indexed_keys=keys)
            rows = (
                {"id": f"{at:04}", "content": f"text {at}", "metadata": metadata(at), "embedding": vector}
                for at, vector in enumerate(VECTORS)
            )
            service.add(name, rows)
    return url


@pytest.fixture
async def keyed(session):
    return await AsyncCollectionRepository(session).get("keyed")


@pytest.fixture
async def plain(session):
    return await AsyncCollectionRepository(session).get("plain")


WHERES = [
    {"at": 17},
    {"at": "1999"},
    {"at": {"$lt": 12}},
    {"at": {"$between": [100, 130.5]}, "batch": 0},
    {"day": {"$gte": "2024-12-20"}},
    {"day": "2024-03-03", "at": {"$gt": 500}},
    {"by.name": "张三", "at": {"$lte": 40}},
    {"by": {"name": {"$gt": "Ada"}}, "$or": [{"at": 20}, {"at": 22}]},
    {"at": {"$gt": 5_000}},
]


@pytest.mark.parametrize("where", WHERES, ids=str)
async def test_every_method_says_what_it_says_without_them(session, keyed, plain, where):
    async def answers(collection):
        documents, query = AsyncDocumentRepository(session, collection), VECTORS[1]
        found = [[hit.entity.id for hit in await documents.nearest(query, where=where)]]
        several = await AsyncSearchRepository(session, collection).nearest_many(VECTORS[:3], where=where)
        found += [[hit.entity.id for hit in hits] for hits in several]
        hybrid = AsyncHybridRepository(session, collection)
        found.append([hit.entity.id for hit in await hybrid.text("text", where=where)])
        found.append([hit.entity.id async for hit in documents.stream(query, where=where)])
        found.append(sorted((await AsyncMatrixRepository(session, collection).read(where=where)).keys))
        browse = AsyncBrowseRepository(session, collection)
        found.append([row.id for row in (await browse.scroll(100, where=where)).items])
        found.append([await documents.count(where=where), await browse.facets("batch", where=where)])
        return found

    assert await answers(keyed) == await answers(plain)


async def test_documents_are_changed_and_deleted_by_them(session, keyed):
    documents = AsyncDocumentRepository(session, keyed)
    assert await documents.update_metadata({"old": True}, where={"at": {"$gte": 20, "$lt": 30}}) == 10
    assert await documents.count(where={"old": True}) == 10
    assert await documents.delete(where={"at": {"$gte": 25}, "old": True}) == 5
    assert await documents.count(where={"at": {"$between": [20, 29]}}) == 5


async def test_the_index_finds_the_rows_of_a_range(session, keyed, plain, statements):
    where = {"day": {"$gte": "2024-12-20"}}
    for collection, scanned in ((keyed, range(20, 120)), (plain, range(1_000, ROWS + 1))):
        plan = await AsyncIndexAdvisor(session, collection).explain(VECTORS[1], where=where)
        assert plan.rows_scanned in scanned
    assert statements == ["planned", "planned"]


@pytest.mark.parametrize(
    "where", [{"at": 17}, {"by.name": "张三", "day": "2024-03-03"}, {"at": 17, "batch": 0}], ids=str
)
async def test_rows_that_equal_are_compared_directly(session, keyed, statements, where):
    documents = AsyncDocumentRepository(session, keyed)
    expected = [hit.entity.id for hit in await documents.nearest(VECTORS[1], where=where, exact=True)]
    assert expected
    for _ in range(7):
        assert [hit.entity.id for hit in await documents.nearest(VECTORS[1], where=where)] == expected
    assert statements == ["few"] * 7


async def test_many_rows_that_equal_are_found_out_once(session, statements):
    collections = AsyncCollectionRepository(session)
    collection = await collections.create("many", 8, indexed_keys=["batch"])
    documents = AsyncDocumentRepository(session, collection)
    rows = ({"id": str(at), "content": "c", "meta": {"batch": at % 2}, "embedding": v} for at, v in enumerate(VECTORS))
    await documents.upsert(rows)
    await documents.create_indexes()
    for _ in range(2):
        hits = await documents.nearest(VECTORS[4], where={"batch": 0})
        assert (len(hits), hits[0].entity.id) == (10, "4")
    assert statements == ["few", "planned", "planned"]


async def rows_scanned(session, statement, parameters):
    """Return how many rows the scans of a statement came by, the filtered ones too."""
    connection = await session.connection()
    explained = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
    found = explained.scalar_one()
    nodes, scanned = [(json.loads(found) if isinstance(found, str) else found)[0]["Plan"]], 0
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if "Scan" in node["Node Type"]:
            scanned += node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return scanned


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("key", ["at", "day", "rare"])
async def test_a_page_by_an_indexed_key_reads_no_more_than_its_values(session, keyed, plain, sent, key, descending):
    pages = {}
    for collection, most in ((keyed, 150), (plain, ROWS)):
        browse, cursor, pages[collection.name] = AsyncBrowseRepository(session, collection), None, []
        for _ in range(4):
            sent.clear()
            page = await browse.scroll(20, order_by=key, descending=descending, cursor=cursor)
            cursor = page.cursor
            pages[collection.name] += [row.id for row in page.items]
            scanned = [await rows_scanned(session, *one) for one in (*sent,)]
            assert 21 <= sum(scanned) <= most
    assert pages["keyed"] == pages["plain"]


async def test_long_texts_are_in_order_beyond_what_the_index_holds(session):
    collection = await AsyncCollectionRepository(session).create("long", 2, index=None, indexed_keys=["t"])
    documents, browse = AsyncDocumentRepository(session, collection), AsyncBrowseRepository(session, collection)
    texts = ["x" * 200 + end for end in ("", "b", "B", "ä", "a" * 300, "a" * 301)]
    await documents.upsert(
        {"id": str(at), "content": "c", "embedding": [1, 2], "meta": {"t": text}} for at, text in enumerate(texts)
    )
    for descending in (False, True):
        found, cursor = [], None
        while not found or cursor:
            page = await browse.scroll(1, order_by="t", descending=descending, cursor=cursor)
            found, cursor = [*found, *(row.meta["t"] for row in page.items)], page.cursor
        assert found == sorted(texts, reverse=descending)


async def test_a_number_as_long_as_python_writes_one(session):
    collection = await AsyncCollectionRepository(session).create("digits", 2, indexed_keys=["n"])
    documents = AsyncDocumentRepository(session, collection)
    await documents.create_indexes()
    number = 7**6_000 % 10**4_299
    row = {"id": "a", "content": "c", "embedding": [1, 2], "meta": {"n": number}}
    assert (await documents.upsert([row])).inserted == 1
    for where, count in (({"$gt": number - 1}, 1), (number, 1), ({"$gt": number}, 0)):
        assert await documents.count(where={"n": where}) == count
