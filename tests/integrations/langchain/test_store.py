"""The store beyond the standard suite: every way to search, both sides alike, and what goes wrong."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import numpy as np
import pytest
from langchain_classic.retrievers import SelfQueryRetriever
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.indexing import InMemoryRecordManager, aindex, index
from langchain_core.runnables import RunnableLambda
from langchain_core.structured_query import Comparator, Comparison, Operation, Operator, StructuredQuery

import rowspace
from rowspace.errors import (
    ConfigurationError,
    DimensionMismatch,
    EmbedderMismatch,
    InvalidFilter,
    InvalidRow,
    InvalidSetting,
    InvalidText,
    RowspaceError,
)
from rowspace.integrations.langchain import DistanceStrategy, RowspaceRetriever, RowspaceTranslator, RowspaceVectorStore
from rowspace.settings import SearchSettings
from rowspace.statements.hybrid import Fusion
from rowspace.testing import HashingEmbedder

TEXTS = {
    "db": "a database stores vectors",
    "db2": "a database stores vectors and rows",
    "tea": "tea is made with hot water",
    "中": "向量数据库支持索引",
    "err": "error PG-42501 means a missing right",
}


class Embedder(HashingEmbedder, Embeddings):
    """A hashing embedder with async methods of its own, as hosted ones have."""

    async def aembed_documents(self, texts):
        return self.embed_documents(texts)

    async def aembed_query(self, text):
        return self.embed_query(text)


@pytest.fixture
def embedder():
    return Embedder(64)


@pytest.fixture
async def store(driver_url, name, embedder):
    async with RowspaceVectorStore(embedder, connection=driver_url, collection_name=name) as store:
        metadatas = [{"n": n, "even": n % 2 == 0} for n in range(len(TEXTS))]
        store.add_texts(TEXTS.values(), metadatas, ids=[*TEXTS])
        yield store


def ids(documents):
    return [document.id for document in documents]


QUERY = "where are vectors stored"
VECTOR = Embedder(64).embed_query(QUERY)


@pytest.mark.parametrize(
    ("method", "arguments", "options"),
    [
        ("similarity_search", (QUERY,), {"k": 3}),
        ("similarity_search", (QUERY, 2, {"even": False}), {}),
        ("similarity_search", (QUERY,), {"exact": True, "max_distance": 0.9}),
        ("similarity_search", (QUERY,), {"min_similarity": 0.1, "min_distance": 0.01}),
        ("similarity_search", (QUERY,), {"settings": SearchSettings(ef_search=10)}),
        ("similarity_search_with_score", (QUERY,), {"k": 1, "filter": {"n": {"$gte": 2}}}),
        ("similarity_search_by_vector", (VECTOR,), {"k": 2}),
        ("similarity_search_with_score_by_vector", (VECTOR,), {"k": 2}),
        ("similarity_search_with_relevance_scores", (QUERY,), {"k": 5, "score_threshold": 0.2}),
        ("max_marginal_relevance_search", (QUERY,), {"k": 3, "lambda_mult": 0.1}),
        ("max_marginal_relevance_search", (QUERY, 2, 3, 0.5, {"even": True}), {}),
        ("max_marginal_relevance_search_with_score", (QUERY,), {"k": 2, "max_distance": 0.99}),
        ("max_marginal_relevance_search_by_vector", (VECTOR,), {"k": 2}),
        ("max_marginal_relevance_search_with_score_by_vector", (VECTOR,), {"k": 2}),
        ("hybrid_search", ("PG-42501",), {"k": 2}),
        ("hybrid_search", ("数据库",), {"k": 2, "filter": {"n": 3}}),
        ("hybrid_search_with_score", ("PG-42501",), {"fusion": Fusion("weighted", text_weight=2)}),
        ("search", (QUERY, "similarity"), {"k": 1}),
        ("search", (QUERY, "mmr"), {"k": 2}),
        ("search", (QUERY, "similarity_score_threshold"), {"score_threshold": 0.2}),
        ("search", ("PG-42501", "hybrid"), {"k": 1}),
        ("get_by_ids", (["tea", "gone", "db"],), {}),
    ],
)
async def test_the_async_twin_gives_the_same(store, method, arguments, options):
    found = getattr(store, method)(*arguments, **options)
    assert found
    assert await getattr(store, f"a{method}")(*arguments, **options) == found


@pytest.mark.parametrize("scored", ["", "_with_score"])
@pytest.mark.parametrize(
    ("search", "by", "given"),
    [
        ("similarity_search", "", QUERY),
        ("similarity_search", "_by_vector", VECTOR),
        ("max_marginal_relevance_search", "", QUERY),
        ("max_marginal_relevance_search", "_by_vector", VECTOR),
        ("hybrid_search", "", QUERY),
    ],
)
async def test_no_way_to_search_goes_past_a_filter(store, search, scored, by, given):
    method = f"{search}{scored}{by}"
    found = getattr(store, method)(given, k=5, filter={"n": 3})
    assert [one.metadata["n"] for one in ([pair[0] for pair in found] if scored else found)] == [3]
    assert await getattr(store, f"a{method}")(given, k=5, filter={"n": 3}) == found


async def test_the_fusion_that_is_asked_for_is_taken(store):
    weighted = {"fusion": Fusion("weighted", text_weight=2)}
    found = store.hybrid_search_with_score("PG-42501", **weighted)
    assert found != store.hybrid_search_with_score("PG-42501")
    assert found == await store.ahybrid_search_with_score("PG-42501", **weighted)


def test_scores_are_distances(store, embedder):
    found = store.similarity_search_with_score(QUERY, k=5)
    expected = {id_: 1 - np.dot(embedder.embed_query(text), VECTOR) for id_, text in TEXTS.items()}
    assert [document.id for document, _ in found] == sorted(expected, key=expected.get)
    assert [score for _, score in found] == pytest.approx(sorted(expected.values()), abs=1e-5)


def test_order_of_get_by_ids_is_that_of_the_ids(store):
    assert ids(store.get_by_ids(["tea", "gone", "db"])) == ["tea", "db"]


@pytest.mark.parametrize("strategy", ["l2", "cosine", "inner_product", "l1", DistanceStrategy.MAX_INNER_PRODUCT])
async def test_relevance_lies_between_0_and_1_and_falls_with_the_distance(url, name, strategy):
    vectors = {"same": [3, 4], "near": [3, 3.5], "far": [-30, 2], "opposite": [-3, -4], "zero": [0, 0]}
    async with RowspaceVectorStore(
        Embedder(2), connection=url, collection_name=name, distance_strategy=strategy
    ) as store:
        store.add_embeddings([*vectors], [*vectors.values()], ids=[*vectors])
        store._embeddings.embed_query = lambda _text: [3, 4]
        found = store.similarity_search_with_relevance_scores("same", k=5)
        assert len(found) == 5
        scores = [score for _, score in found]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)
        assert scores[0] == pytest.approx(1)
        assert scores[-1] < 0.5
        assert await store.asimilarity_search_with_relevance_scores("same", k=5) == found


def test_a_relevance_function_of_the_callers(url, name, embedder):
    with RowspaceVectorStore(
        embedder, connection=url, collection_name=name, relevance_score_fn=lambda distance: distance / 2 + 0.25
    ) as store:
        store.add_texts(["a"])
        ((_, score),) = store.similarity_search_with_relevance_scores("a")
        assert score == pytest.approx(0.25)


def test_variety_and_fetch_k(store):
    assert set(ids(store.max_marginal_relevance_search("a database stores vectors", k=2, lambda_mult=1))) == {
        "db",
        "db2",
    }
    assert "db2" not in ids(store.max_marginal_relevance_search("a database stores vectors", k=2, lambda_mult=0.2))
    # Two candidates leave nothing to choose; LangChain's default of 20 does not forbid a larger k.
    assert set(ids(store.max_marginal_relevance_search("a database stores vectors", k=2, fetch_k=2))) == {"db", "db2"}
    assert len(store.max_marginal_relevance_search("a", k=30)) == 5
    with pytest.raises(InvalidSetting, match="lambda_mult"):
        store.max_marginal_relevance_search("a", lambda_mult=2)


async def test_retrievers(store):
    plain = store.as_retriever(search_kwargs={"k": 2, "filter": {"even": False}})
    assert ids(plain.invoke(QUERY)) == ids(await plain.ainvoke(QUERY)) == ["db2", "中"]
    threshold = store.as_retriever(search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.5})
    assert ids(threshold.invoke("tea with hot water")) == ids(await threshold.ainvoke("tea with hot water")) == ["tea"]
    mmr = store.as_retriever(search_type="mmr", search_kwargs={"k": 2, "fetch_k": 5, "lambda_mult": 0.2})
    assert ids(mmr.invoke("a database stores vectors")) == ids(await mmr.ainvoke("a database stores vectors"))
    hybrid = store.as_retriever(search_type="hybrid", search_kwargs={"k": 1})
    assert isinstance(hybrid, RowspaceRetriever)
    assert ids(hybrid.invoke("PG-42501")) == ids(await hybrid.ainvoke("PG-42501")) == ["err"]
    assert ids(hybrid.invoke("数据库", k=2, filter={"n": {"$ne": 4}}))[0] == "中"
    with pytest.raises(ValueError, match="search_type of nearest not allowed"):
        store.as_retriever(search_type="nearest")
    # Beside search_kwargs it would be no filter.
    for mistaken in ({"filter": {"even": False}}, {"search_kwarg": {"filter": {"even": False}}}):
        with pytest.raises(ValueError, match="Extra inputs are not permitted"):
            store.as_retriever(**mistaken)


async def test_delete_by_ids_and_by_filter(store):
    assert store.delete(["db", "gone"]) is True
    assert await store.adelete(filter={"n": {"$in": [1, 2]}}) is True
    assert sorted(ids(store.similarity_search("a", k=9))) == ["err", "中"]
    assert store.delete([]) is True
    for options in ({}, {"ids": ["中"], "filter": {"n": 1}}, {"filter": {}}):
        with pytest.raises(ConfigurationError, match=r"ids(,|) or "):
            store.delete(**options)
        with pytest.raises(ConfigurationError, match=r"ids(,|) or "):
            await store.adelete(**options)
    assert len(store.similarity_search("a", k=9)) == 2


async def test_what_does_not_fit_is_refused(store):
    with pytest.raises(ConfigurationError, match="got 1 for 2 texts"):
        store.add_texts(["a", "b"], [{}])
    with pytest.raises(ConfigurationError, match="one of ids per text, got 3"):
        await store.aadd_texts(["a", "b"], ids=["1", "2", "3"])
    with pytest.raises(DimensionMismatch, match="Row 1"):
        store.add_embeddings(["a", "b"], [VECTOR, [1.0, 2.0]])
    with pytest.raises(InvalidRow, match=r"Row 0.*metadata"):
        store.add_texts(["a"], [{"when": object()}])
    with pytest.raises(InvalidFilter, match=r"filter\.n\.\$gtt"):
        store.similarity_search("a", filter={"n": {"$gtt": 1}})
    with pytest.raises(ConfigurationError, match="for the store: fusion, with_embedding"):
        store.similarity_search("a", fusion="rrf", with_embedding=True)
    with pytest.raises(ConfigurationError, match="for the store: max_distance"):
        await store.ahybrid_search("a", max_distance=1)
    for call in (store.similarity_search, store.hybrid_search, store.max_marginal_relevance_search):
        with pytest.raises(ConfigurationError, match="for the store: score"):
            call("a", score=1)
        # What they are called further inside is nobody's business, and no second filter in place of the first.
        with pytest.raises(ConfigurationError, match=r"for the store: where, mode\. Valid ones: exact, .*filter, "):
            call("a", filter={"n": 1}, where={"n": 2}, mode="mmr")
    with pytest.raises(ConfigurationError, match=r"for the store: where\. Valid ones: collection_only, filter, ids"):
        store.delete(where={"n": 1})
    with pytest.raises(InvalidRow, match=r"Row 1, content: .* got None"):
        store.add_texts(["a", None])
    with pytest.raises(InvalidRow, match="Row 0, id: "):
        await store.aadd_texts(["a"], ids=[""])
    with pytest.raises(ConfigurationError, match=r"Expected texts as a list .* got str 'abc'"):
        store.add_texts("abc")
    for write in (store.add_texts, store.add_documents):
        with pytest.raises(ConfigurationError, match="for the store: upsert"):
            write([], upsert=True)
    assert len(store.similarity_search("a", k=9)) == len(TEXTS)


def test_ids(store):
    first, second = store.add_texts(["same", "same"])
    assert first != second
    assert ids(store.get_by_ids([first, second])) == [first, second]
    documents = [Document("one", id="1"), Document("two")]
    one, two = store.add_documents(documents)
    assert (one, len(two)) == ("1", 36)
    assert store.add_documents(documents, ids=["x", "y"]) == ["x", "y"]
    assert store.add_documents([]) == store.add_texts(iter([])) == []


async def test_ids_that_are_no_texts_but_stand_for_some(store):
    """Numbers for ids are what the pages about PGVector show."""
    key = UUID("0b0e2f4c-6c1b-4b38-9a35-0a2f6a1c9f11")
    assert store.add_documents([Document("one"), Document("two")], ids=[1, key]) == ["1", str(key)]
    assert await store.aadd_texts(["three"], [{}], [3]) == ["3"]
    assert ids(store.get_by_ids([3, key, 1])) == ids(await store.aget_by_ids([3, key, 1])) == ["3", str(key), "1"]
    store.delete([3, key])
    await store.adelete([1])
    assert store.get_by_ids([1, 3, key]) == []
    for call in (store.get_by_ids, store.delete, lambda given: store.add_texts(["a", "b"], ids=given)):
        with pytest.raises(ConfigurationError, match=r"Expected ids as a list .* got str 'db'"):
            call("db")


async def test_nul_bytes_are_refused_or_stripped(store):
    with pytest.raises(InvalidText, match="strip_nul=True"):
        store.add_texts(["a\0b"])
    assert store.add_texts(["a\0b"], ids=["1"], strip_nul=True) == ["1"]
    await store.aadd_documents([Document("c\0d", id="2")], strip_nul=True)
    assert [document.page_content for document in store.get_by_ids(["1", "2"])] == ["ab", "cd"]


def test_a_url_of_its_parts():
    url = RowspaceVectorStore.connection_string_from_db_params("psycopg", "db", 5433, "app", "me", "p@ss/word")
    assert url == "postgresql+psycopg://me:p%40ss%2Fword@db:5433/app"


@pytest.mark.parametrize("given", [Embedder, "openai:text-embedding-3-small", 3])
def test_what_is_no_embedder_is_refused_at_once(url, given):
    with pytest.raises(ConfigurationError, match="Expected an embedder with embed_documents"):
        RowspaceVectorStore(given, connection=url)


@pytest.mark.parametrize("given", ["[1, 0]", [[1.0, 0.0]], [[1.0], [0.0, 1.0]], [1.0, 0.0]])
async def test_a_new_collection_has_the_dimension_of_the_embedder_whatever_comes_first(url, name, embedder, given):
    async with RowspaceVectorStore(embedder, connection=url, collection_name=name) as store:
        with pytest.raises(RowspaceError, match="Row 0"):
            store.add_embeddings(["a"], [given])
        with pytest.raises(RowspaceError, match="Row 0"):
            await store.aadd_embeddings(["a"], [given])
        store.add_texts(["a"])
        assert store.create_collection().dimension == 64


def test_another_embedder_is_refused(store, url):
    with RowspaceVectorStore(HashingEmbedder(32), connection=url, collection_name=store.collection_name) as other:
        with pytest.raises(EmbedderMismatch):
            other.similarity_search("a")
        with pytest.raises(EmbedderMismatch):
            other.add_texts(["a"])


async def test_from_anything(driver_url, name, embedder):
    options = {"connection": driver_url, "collection_name": name}
    makers = RowspaceVectorStore
    pairs = [("c", embedder.embed_query("c"))]
    store = makers.from_texts(["a"], embedder, [{"n": 1}], ids=["1"], pre_delete_collection=True, **options)
    stores = [
        store,
        makers.from_documents([Document("b", id="2")], embedder, **options),
        makers.from_embeddings(pairs, embedder, metadatas=[{"n": 3}], ids=["3"], **options),
        await makers.afrom_texts(["d"], embedder, [{"n": 4}], ids=["4"], **options),
        await makers.afrom_documents([Document("e", id="5")], embedder, **options),
        await makers.afrom_embeddings(pairs, embedder, ids=["6"], **options),
        makers.from_existing_index(embedder, **options),
        await makers.afrom_existing_index(embedder, **options),
    ]
    assert sorted(ids(stores[-1].similarity_search("a", k=9))) == ["1", "2", "3", "4", "5", "6"]
    assert store.get_by_ids(["1"]) == [Document("a", id="1", metadata={"n": 1})]
    for one in stores:
        await one.aclose()


@pytest.mark.parametrize("cleanup", ["incremental", "full"])
async def test_the_indexing_api(store, cleanup):
    store.delete_collection()
    records = InMemoryRecordManager("test")
    records.create_schema()
    options = {"cleanup": cleanup, "source_id_key": "source", "key_encoder": "sha256"}
    first = [Document(f"text {n}", metadata={"source": f"s{n // 2}"}) for n in range(4)]
    assert counted(index(first, records, store, **options)) == (4, 0, 0, 0)
    assert counted(index(first, records, store, **options)) == (0, 0, 4, 0)
    changed = [*first[:3], Document("text changed", metadata={"source": "s1"})]
    assert counted(await aindex(changed, records, store, **options)) == (1, 0, 3, 1)
    found = {document.page_content for document in await store.asimilarity_search("text", k=9)}
    assert found == {"text 0", "text 1", "text 2", "text changed"}


def counted(result):
    return tuple(result[f"num_{name}"] for name in ("added", "updated", "skipped", "deleted"))


def test_the_indexing_api_with_a_record_manager_in_sql(store, url):
    from langchain_classic.indexes import SQLRecordManager
    from sqlalchemy import create_engine

    engine = create_engine(url)
    records = SQLRecordManager("test/" + store.collection_name, engine=engine)
    records.create_schema()
    documents = [Document("text 0", metadata={"source": "s"}), Document("text 1", metadata={"source": "s"})]
    options = {"cleanup": "full", "source_id_key": "source", "key_encoder": "sha256"}
    assert counted(index(documents, records, store, **options)) == (2, 0, 0, 0)
    assert counted(index(documents[:1], records, store, **options)) == (0, 0, 1, 1)
    engine.dispose()


async def test_async_uses_no_thread(driver_url, name, embedder, monkeypatch):
    def no_thread(*_arguments, **_options):
        pytest.fail("A thread was started.")

    async with RowspaceVectorStore(embedder, connection=driver_url, collection_name=name) as store:
        await store.asimilarity_search("a")  # name resolution may take one: the driver's, before it connects
        monkeypatch.setattr(threading.Thread, "start", no_thread)
        monkeypatch.setattr(asyncio.get_running_loop(), "run_in_executor", no_thread)
        await store.aadd_documents([Document("a", id="1")])
        assert ids(await store.asimilarity_search("a")) == ids(await store.ahybrid_search("a")) == ["1"]
        assert len(await store.amax_marginal_relevance_search("a")) == 1
        assert len(await store.aget_by_ids(["1"])) == 1
        await store.adelete(["1"])


def test_one_store_in_one_event_loop_after_another(url, name, embedder):
    store = RowspaceVectorStore(embedder, connection=url, collection_name=name)

    async def once():
        try:
            await store.aadd_texts(["a"], ids=["1"])
            return await store.asimilarity_search("a")
        finally:
            await store.aclose()

    assert [ids(asyncio.run(once())) for _ in range(3)] == [["1"]] * 3


def test_the_logger_is_told(url, name, embedder, caplog):
    logger = logging.getLogger("test.store")
    with (
        caplog.at_level(logging.INFO, "test.store"),
        RowspaceVectorStore(embedder, connection=url, collection_name=name, logger=logger) as store,
    ):
        store.create_collection()
        store.create_collection()
        store.delete_collection()
        store.delete_collection()
    assert [record.getMessage() for record in caplog.records] == [
        f"Created the collection {name!r}",
        f"Dropped the collection {name!r}",
    ]


def test_event_loops_that_ended_without_closing_are_forgotten(url, name, embedder):
    store = RowspaceVectorStore(embedder, connection=url, collection_name=name)

    async def many():
        return await asyncio.gather(*(store.asimilarity_search("a") for _ in range(3)))

    with warnings.catch_warnings():
        # What a driver says of connections whose loop has ended.
        warnings.simplefilter("ignore", ResourceWarning)
        for _ in range(3):
            assert asyncio.run(many()) == [[]] * 3
            # The last one, unless the garbage collector has been there before.
            assert len(store._sides._by_loop) <= 1
        asyncio.run(store.aclose())
        store._sides._forget_dead_loops()
        gc.collect()
    assert len(store._sides._by_loop) == 0


def test_a_first_use_from_many_threads(url, name, embedder):
    with (
        RowspaceVectorStore(embedder, connection=url, collection_name=name, pre_delete_collection=True) as store,
        ThreadPoolExecutor(4) as pool,
    ):
        list(pool.map(lambda n: store.add_texts([f"text {n}"], ids=[str(n)]), range(8)))
        assert len(store.similarity_search("text", k=9)) == 8


async def test_conditions_of_sqlalchemy_are_filters_too(store):
    tea = [rowspace.Document.content.like("tea%")]
    assert ids(store.similarity_search("a", filter=tea)) == ["tea"]
    assert ids(await store.ahybrid_search("a", filter=tea)) == ["tea"]
    assert ids(await store.amax_marginal_relevance_search("a", filter=tea)) == ["tea"]
    store.delete(filter=tea)
    assert store.similarity_search("a", filter=tea) == []


def test_k_documents_whatever_the_filter_and_the_neighbours(url, name):
    """One row in a hundred passes; another collection has the same ids and another dimension."""
    numbers = np.random.default_rng(1)
    texts = [f"text {n}" for n in range(3_000)]
    metadatas = [{"tenant": "rare" if n % 100 == 0 else "common"} for n in range(3_000)]
    with (
        RowspaceVectorStore(Embedder(8), connection=url, collection_name=name) as store,
        RowspaceVectorStore(Embedder(4), connection=url, collection_name=f"{name}-2") as other,
    ):
        for one, dimension in ((store, 8), (other, 4)):
            vectors = numbers.normal(size=(3_000, dimension))
            one.add_embeddings(texts, vectors, metadatas, [str(n) for n in range(3_000)])
        other.add_texts(["changed"], ids=["0"])
        found = store.similarity_search_by_vector(numbers.normal(size=8), k=25, filter={"tenant": "rare"})
        assert len(found) == 25
        assert {document.metadata["tenant"] for document in found} == {"rare"}
        assert [one.get_by_ids(["0"])[0].page_content for one in (store, other)] == ["text 0", "changed"]


async def test_a_self_query_is_kept_to_the_filter_of_the_application(url, name, embedder):
    asked = Operation(Operator.OR, [Comparison(Comparator.EQ, "tenant", "b"), Comparison(Comparator.GT, "year", 2000)])
    async with RowspaceVectorStore(embedder, connection=url, collection_name=name) as store:
        store.add_texts(["a", "b", "c"], [{"tenant": t, "year": y} for t, y in (("a", 2001), ("b", 2001), ("a", 1999))])
        retriever = SelfQueryRetriever(
            vectorstore=store,
            query_constructor=RunnableLambda(lambda _: StructuredQuery("a", asked, limit=3)),
            structured_query_translator=RowspaceTranslator(filter={"tenant": "a"}),
        )
        assert [document.page_content for document in retriever.invoke("a")] == ["a"]
        assert [document.page_content for document in await retriever.ainvoke("a")] == ["a"]
