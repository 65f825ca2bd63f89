"""The service for searches: many at once, pages, the quick one, and whether it can serve."""

from __future__ import annotations

from math import cos, sin, tau

import pytest
from sqlalchemy import NullPool, event, make_url

from rowspace import AsyncDatabase, AsyncDocumentService
from rowspace.errors import CollectionNotFound, DimensionMismatch, InvalidCursor
from rowspace.services import AsyncQuickSearch, AsyncSearchService, SearchRequest

#: One more than are taken for few.
MANY = 1_001


@pytest.fixture
async def database(new_database, driver):
    url = make_url(new_database()).set(drivername=f"postgresql+{driver}")
    async with AsyncDatabase.open(url, poolclass=NullPool) as opened:
        yield opened


@pytest.fixture
async def documents(database):
    service = AsyncDocumentService(database)
    await service.create_collection("points", 2)
    rows = [
        {"id": str(x), "content": f"point {x}", "metadata": {"x": x, "odd": x % 2}, "embedding": [1, x]}
        for x in range(60)
    ]
    await service.add("points", rows)
    return service


def ids(hits):
    return [hit.id for hit in hits]


async def test_many_searches_are_those_one_by_one(database, documents):
    searches = AsyncSearchService(database)
    queries = [[1.0, 5.0], [1.0, 30.0]]
    many = await searches.search_many("points", queries, k=3, filter={"x": {"$gt": 4}})
    assert many == [await searches.search("points", query, k=3, filter={"x": {"$gt": 4}}) for query in queries]


async def test_pages_go_on_where_the_last_one_ended(database, documents):
    searches = AsyncSearchService(database)
    first = await searches.scroll("points", 2, order_by="x", descending=True)
    second = await searches.scroll("points", 2, order_by="x", descending=True, cursor=first.cursor)
    assert ids(first.documents) + ids(second.documents) == ["59", "58", "57", "56"]
    with pytest.raises(InvalidCursor):
        await searches.scroll("points", 2, cursor=first.cursor)


FILTERS = [None, {}, {"odd": 1}, {"odd": 1, "x": {"$gt": 50}}, {"x": {"$gt": 50}}, {"odd": 2}]


@pytest.mark.parametrize("filter_", FILTERS, ids=str)
async def test_the_quick_search_answers_as_the_other(database, documents, filter_):
    searches = AsyncSearchService(database)
    for k in (3, 40, 100):
        quick, request = AsyncQuickSearch(database), SearchRequest(vector=[1.0, 7.0], k=k, filter=filter_)
        for _ in range(2):
            assert await quick.search("points", request) == await searches.search("points", request)


@pytest.mark.parametrize("mode", ["vector", "mmr"])
async def test_a_limit_of_similarity_is_that_of_distance(database, documents, mode):
    quick, searches = AsyncQuickSearch(database), AsyncSearchService(database)
    query = {"vector": [1.0, 7.0], "mode": mode, "k": 3}
    [*_, last] = sorted(await searches.search("points", SearchRequest(**query)), key=lambda hit: hit.distance)
    middle = last.similarity + 1e-9
    similar = SearchRequest(**query, min_similarity=middle)
    found = await searches.search("points", similar)
    assert found == await searches.search("points", SearchRequest(**query, max_distance=1 - middle))
    assert found == await quick.search("points", similar)
    assert last.id not in ids(found)
    assert min(hit.similarity for hit in found) >= middle
    assert [found] == await searches.search_many("points", [[1.0, 7.0]], k=3, mode=mode, min_similarity=middle)


@pytest.mark.parametrize("filter_", [None, {"odd": 1}])
async def test_the_quick_search_notices_what_became_of_a_collection(database, documents, filter_):
    quick, request = AsyncQuickSearch(database), SearchRequest(vector=[1.0, 7.0], k=1, filter=filter_)
    assert ids(await quick.search("points", request)) == ["7"]
    await documents.rename_collection("points", "dots")
    with pytest.raises(CollectionNotFound):
        await quick.search("points", request)
    await documents.create_collection("points", 3)
    with pytest.raises(DimensionMismatch):
        await quick.search("points", request)
    assert ids(await quick.search("dots", request)) == ["7"]


@pytest.mark.parametrize("filter_", [None, {"odd": 1, "x": {"$gt": 50}}])
async def test_the_quick_search_is_one_statement(database, documents, filter_):
    quick, request = AsyncQuickSearch(database), SearchRequest(vector=[1.0, 7.0], k=2, filter=filter_)
    await quick.search("points", request)
    seen = []
    target = getattr(database.engine, "sync_engine", database.engine)
    event.listen(target, "before_cursor_execute", lambda *arguments: seen.append(arguments[2]))
    await quick.search("points", request)
    assert len(seen) == 1
    await documents.rename_collection("points", "dots")
    await documents.rename_collection("dots", "points")
    # It finds out that the collection was changed, looks it up, and knows it again.
    for _ in range(2):
        await quick.search("points", request)
    seen.clear()
    await quick.search("points", request)
    assert len(seen) == 1


def around(step: float) -> list[float]:
    return [cos(tau * step / MANY), sin(tau * step / MANY)]


async def test_the_quick_search_under_a_filter_that_many_pass(database, documents):
    # Around the circle: where all are near each other, in floats they are as far from a query, and a walk misses some.
    rows = [{"id": f"m{x}", "content": "many", "metadata": {"odd": 1}, "embedding": around(x)} for x in range(MANY)]
    await documents.add("points", rows)
    quick, searches = AsyncQuickSearch(database), AsyncSearchService(database)
    seen = []
    target = getattr(database.engine, "sync_engine", database.engine)
    event.listen(target, "before_cursor_execute", lambda *arguments: seen.append("rowspace_few" in arguments[2]))
    request = SearchRequest(vector=around(900.3), k=3, filter={"odd": 1})
    found = await quick.search("points", request)
    assert (ids(found), seen.count(True)) == (["m900", "m901", "m899"], 1)
    # It is known now.
    assert found == await quick.search("points", request) == await searches.search("points", request)
    assert seen.count(True) == 1
