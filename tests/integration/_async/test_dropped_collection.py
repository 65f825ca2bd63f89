"""A search by an object of a collection that was dropped is an error, one of a collection that is empty is not."""

from __future__ import annotations

import pytest
from sqlalchemy import event

from rowspace import (
    AsyncCollectionRepository,
    AsyncDocumentRepository,
    AsyncHybridRepository,
    AsyncSearchRepository,
)
from rowspace.errors import CollectionNotFound

ROW = {"id": "a", "content": "an apple", "embedding": [1, 0]}


SEARCHES = {
    "nearest": lambda session, over: AsyncDocumentRepository(session, over).nearest([1, 0]),
    "exact": lambda session, over: AsyncDocumentRepository(session, over).nearest([1, 0], exact=True),
    "many": lambda session, over: AsyncSearchRepository(session, over).nearest_many([[1, 0], [0, 1]]),
    "recommend": lambda session, over: AsyncSearchRepository(session, over).recommend([[1, 0]]),
    "best score": lambda session, over: AsyncSearchRepository(session, over).recommend([[1, 0]], strategy="best_score"),
    "diverse": lambda session, over: AsyncSearchRepository(session, over).diverse([1, 0]),
    "grouped": lambda session, over: AsyncSearchRepository(session, over).grouped([1, 0], "kind"),
    "text": lambda session, over: AsyncHybridRepository(session, over).text("apple"),
    "hybrid": lambda session, over: AsyncHybridRepository(session, over).hybrid("apple", [1, 0]),
}


@pytest.fixture
async def collection(session):
    return await AsyncCollectionRepository(session).create("fruit", 2)


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
async def test_every_search_of_a_dropped_collection_is_refused(session, collection, search):
    # Merely empty.
    assert not any(await search(session, collection))
    await AsyncDocumentRepository(session, collection).upsert([{**ROW, "meta": {"kind": "fruit"}}])
    assert any(await search(session, collection))
    await AsyncCollectionRepository(session).drop("fruit")
    with pytest.raises(CollectionNotFound, match=r"The collection 'fruit' was dropped after .*\. Get it again\.$"):
        await search(session, collection)
    # The transaction goes on, and one of the same name is another collection.
    again = await AsyncCollectionRepository(session).create("fruit", 2)
    assert not any(await search(session, again))
    with pytest.raises(CollectionNotFound):
        await search(session, collection)


async def test_a_stream_of_a_dropped_collection_is_refused(session, collection):
    empty = await AsyncCollectionRepository(session).create("empty", 2)
    await AsyncCollectionRepository(session).drop("fruit")
    with pytest.raises(CollectionNotFound):
        await streamed(session, collection)
    assert await streamed(session, empty) == []


async def streamed(session, over):
    return [hit async for hit in AsyncDocumentRepository(session, over).stream([1, 0])]


async def test_a_row_of_a_dropped_collection_is_nobodys_neighbour(session, collection):
    await AsyncCollectionRepository(session).drop("fruit")
    with pytest.raises(CollectionNotFound):
        await AsyncSearchRepository(session, collection).similar_to("a")


async def test_what_finds_something_or_has_a_filter_costs_nothing_more(session, collection):
    documents = AsyncDocumentRepository(session, collection)
    await documents.upsert([ROW])
    sent = []
    connection = await session.connection()
    inner = getattr(connection, "sync_connection", connection)
    event.listen(inner, "before_cursor_execute", lambda *given: sent.append(given[2]))
    assert len(await documents.nearest([1, 0])) == 1
    assert await documents.nearest([1, 0], where={"kind": "none"}) == []
    assert await documents.nearest([-1, 0], max_distance=0.1) == []
    assert await AsyncHybridRepository(session, collection).text("apple")
    assert await AsyncHybridRepository(session, collection).text("apple", where={"kind": "none"}) == []
    assert sent
    assert not any("to_regclass" in statement for statement in sent)
    assert await AsyncHybridRepository(session, collection).text("pear") == []
    assert "to_regclass" in sent[-1]
