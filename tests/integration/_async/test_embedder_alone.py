"""No connection is held while the embedder works, which with a hosted one takes seconds."""

from __future__ import annotations

import pytest

from rowspace import AsyncDatabase, AsyncDocumentService, SearchRequest
from rowspace.errors import CollectionNotFound, ConfigurationError, EmbedderMismatch
from rowspace.services import AsyncQuickSearch, AsyncSearchService
from rowspace.testing import HashingEmbedder


class WatchingEmbedder(HashingEmbedder):
    """Notes at each call how many connections are in use."""

    def __init__(self, pool):
        super().__init__(8)
        self.pool = pool
        self.held = []

    def embed_documents(self, texts):
        self.held.append(self.pool.checkedout())
        return [HashingEmbedder(8).embed_query(text) for text in texts]

    def embed_query(self, text):
        self.held.append(self.pool.checkedout())
        return super().embed_query(text)


@pytest.fixture
async def database(new_database, driver):
    async with AsyncDatabase.open(new_database().replace("+psycopg", f"+{driver}")) as opened:
        yield opened


@pytest.fixture
def embedder(database):
    return WatchingEmbedder(database.engine.pool)


@pytest.fixture
async def service(database, embedder):
    made = AsyncDocumentService(database, embedder)
    await made.create_collection("news")
    return made


async def test_a_collection_that_is_there_costs_no_call(service, embedder):
    assert embedder.held == [0]
    assert (await service.create_collection("news", exist_ok=True)).dimension == 8
    assert embedder.held == [0]


async def test_a_collection_that_somebody_else_makes_meanwhile_exists(database, service, embedder, monkeypatch):
    async def nothing(*_):
        return None

    monkeypatch.setattr(service, "_known", nothing)
    assert await service.create_collection("news", exist_ok=True) == await service.collection("news")


@pytest.mark.parametrize("options", [{"commit_batches": True}, {"resume": "nightly"}], ids=str)
async def test_batches_that_are_committed_are_embedded_before(service, embedder, options):
    embedder.held.clear()
    rows = [{"id": str(number), "content": f"text {number}"} for number in range(5)]
    report = await service.add("news", rows, batch_size=2, **options)
    assert (report.inserted, embedder.held) == (5, [0, 0, 0])
    again = await service.add("news", [*rows, "new"], batch_size=4, **options)
    assert (again.unchanged, again.inserted, embedder.held) == (5, 1, [0, 0, 0, 0])
    assert (await service.collection("news")).embedder == "hashing-8"


async def test_the_first_batch_is_read_before_a_connection_is_taken(database, service):
    held = []

    def source():
        for text in ("tea", "coffee", "milk"):
            held.append(database.engine.pool.checkedout())
            yield text
        held.append(database.engine.pool.checkedout())

    assert (await service.add("news", source())).inserted == 3
    assert (await service.add("news", source(), batch_size=2)).unchanged == 3
    assert held == [0, 0, 0, 0, 0, 0, 1, 1]


async def test_searches_embed_before_their_transaction(database, service, embedder):
    await service.add("news", ["tea", "coffee"])
    embedder.held.clear()
    searches, quick = AsyncSearchService(database, embedder), AsyncQuickSearch(database, embedder)
    for mode in ("vector", "mmr", "hybrid", "text"):
        request = SearchRequest(text="tea", mode=mode, k=1)
        [hit] = await searches.search("news", request)
        assert [hit] == await quick.search("news", request)
        [[many]] = await searches.search_many("news", ["tea"], mode=mode, k=1)
        assert (hit.content, many.content) == ("tea", "tea")
    assert embedder.held == [0] * 9


async def test_a_query_is_embedded_as_one_and_once(database, service, embedder, monkeypatch):
    await service.add("news", ["tea", "coffee"])
    embedder.held.clear()
    monkeypatch.delattr(type(embedder), "embed_documents", raising=False)
    monkeypatch.delattr(type(embedder), "aembed_documents", raising=False)
    # Only two documents are there, so the quick search is not the last word.
    hits = await AsyncQuickSearch(database, embedder).search("news", SearchRequest(text="tea", k=3))
    assert ([hit.content for hit in hits], len(embedder.held)) == (["tea", "coffee"], 1)
    both = await AsyncSearchService(database, embedder).search_many("news", ["tea", "coffee"], k=1)
    assert [hit.content for (hit,) in both] == ["tea", "coffee"]


async def test_what_cannot_be_searched_is_refused_as_before(database, service, embedder):
    plain, other = AsyncSearchService(database), AsyncSearchService(database, HashingEmbedder(9))
    for mode in ("vector", "mmr", "hybrid"):
        with pytest.raises(ConfigurationError, match="needs an embedder"):
            await plain.search("news", "tea", mode=mode)
        with pytest.raises(ConfigurationError, match="needs an embedder"):
            await plain.search_many("news", ["tea"], mode=mode)
        with pytest.raises(EmbedderMismatch):
            await other.search("news", "tea", mode=mode)
        with pytest.raises(EmbedderMismatch):
            await other.search_many("news", ["tea"], mode=mode)
    with pytest.raises(CollectionNotFound):
        await plain.search("old", "tea")
    with pytest.raises(CollectionNotFound):
        await AsyncSearchService(database, embedder).search("old", "tea")
