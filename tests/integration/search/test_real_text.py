"""Every search over real text: docstrings of Python with the embeddings of a real model, beside what NumPy finds.

The other tests choose vectors that bring a case out. These are as users have them: of few true dimensions, close to
each other, and asked for in two languages.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import (
    HNSW,
    BrowseRepository,
    CollectionRepository,
    Database,
    DocumentRepository,
    Fusion,
    HybridRepository,
    IVFFlat,
    MatrixRepository,
    Repository,
    SearchRepository,
    SearchSettings,
    Vector,
)
from rowspace.cli import corpus
from rowspace.integrations.local import LocalEmbedder
from rowspace.models import MetadataMixin

ROWS, DIMENSION = 1_200, 512
QUESTIONS = [
    "parse a JSON string",
    "compress data",
    "read lines of a file",
    "raise an exception when a key is missing",
    "wait for a thread",
    "random numbers",
    "解析 JSON 字符串",
    "读取压缩文件",
    "随机数",
    "等待线程结束",
]
INDEXES = {
    "full": HNSW(),
    "halfvec": HNSW(quantize="halfvec"),
    "bit": HNSW(quantize="bit"),
    "lists": IVFFlat(lists=12),
}
# As much as an index of this size needs to miss next to nothing.
SETTINGS = {"lists": SearchSettings(probes=12), "bit": SearchSettings(oversample=16)}
METRICS = ("cosine", "l2", "inner_product", "l1")


class Base(DeclarativeBase):
    pass


class Entry(MetadataMixin, Base):
    __tablename__ = "entries"
    __table_args__ = (HNSW().index("embedding"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    embedding: Mapped[Any] = mapped_column(Vector(DIMENSION), deferred=True)


@dataclass(frozen=True)
class Library:
    url: str
    vectors: np.ndarray
    queries: np.ndarray
    contents: list[str]
    metadata: list[dict[str, Any]]

    def distances(self, query, metric="cosine"):
        """Return the distance of each row, in float64."""
        rows, query = self.vectors.astype(np.float64), np.asarray(query, np.float64)
        if metric == "cosine":
            return 1 - rows @ query / (np.linalg.norm(rows, axis=1) * np.linalg.norm(query))
        if metric == "inner_product":
            return -rows @ query
        return np.linalg.norm(rows - query, axis=1, ord=1 if metric == "l1" else 2)

    def nearest(self, query, k, among=None, metric="cosine"):
        """Return the distances of the k nearest rows: by distances, as equal texts are equally far."""
        return np.sort(self.distances(query, metric)[slice(None) if among is None else among])[:k]

    def of_kind(self, *kinds):
        return np.array([one["kind"] in kinds for one in self.metadata])


@pytest.fixture(scope="module")
def library(new_module_database):
    documents = list(corpus.documents(ROWS))
    embedder = LocalEmbedder()
    contents = [document.content for document in documents]
    metadata = [{**document.metadata, "words": len(document.content.split())} for document in documents]
    made = Library(
        new_module_database(),
        np.asarray(embedder.embed_documents(contents), np.float32),
        np.array([embedder.embed_query(question) for question in QUESTIONS], np.float32),
        contents,
        metadata,
    )
    with Database.open(made.url) as database, database.begin() as session:
        Base.metadata.create_all(session.connection())
        Repository(session, Entry).upsert(
            {"id": at, "kind": one["kind"], "meta": one, "embedding": vector}
            for at, (one, vector) in enumerate(zip(metadata, made.vectors, strict=True))
        )
        session.connection().exec_driver_sql("ANALYZE entries")
        for name, index in INDEXES.items():
            collection = CollectionRepository(session).create(name, DIMENSION, index=index)
            repository = DocumentRepository(session, collection)
            repository.upsert(
                {"id": str(at), "content": content, "meta": one, "embedding": vector}
                for at, (content, one, vector) in enumerate(zip(contents, metadata, made.vectors, strict=True))
            )
            repository.create_indexes()
    return made


#: The server adds up float32 numbers, in an order of its own.
CLOSE = {"rtol": 1e-6, "atol": 2e-6}


@pytest.fixture
def session(library):
    with Database.open(library.url) as database, database.session() as session:
        # With so few rows the planner would compare them all, and no index would be tested.
        session.connection().exec_driver_sql("SET LOCAL enable_seqscan = off")
        session.connection().exec_driver_sql("SET LOCAL enable_sort = off")
        yield session


@pytest.fixture
def collection(session):
    return CollectionRepository(session).get("full")


def at(hit):
    return int(hit.entity.id)


def share_found(library, query, hits, truth, *, metric="cosine"):
    """Hits are rows at their true distances, nearest first; return the share of the nearest rows among them."""
    distances = [hit.distance for hit in hits]
    assert distances == sorted(distances)
    assert len({at(hit) for hit in hits}) == len(hits)
    np.testing.assert_allclose(distances, library.distances(query, metric)[[at(hit) for hit in hits]], **CLOSE)
    assert len(hits) == len(truth)
    return np.mean([distance <= truth[-1] * (1 + CLOSE["rtol"]) + CLOSE["atol"] for distance in distances])


@pytest.mark.parametrize("metric", METRICS)
def test_exact_searches_by_every_distance(library, session, metric):
    entries = Repository(session, Entry, distance=metric)
    for query in library.queries:
        hits, truth = entries.nearest(query, 20, exact=True), library.nearest(query, 20, metric=metric)
        assert share_found(library, query, hits, truth, metric=metric) == 1


@pytest.mark.parametrize("name", INDEXES)
def test_every_index_finds_what_numpy_finds(library, session, name):
    documents = DocumentRepository(session, CollectionRepository(session).get(name))
    recall = [
        share_found(
            library, query, documents.nearest(query, 10, settings=SETTINGS.get(name)), library.nearest(query, 10)
        )
        for query in library.queries
    ]
    assert np.mean(recall) >= 0.95


@pytest.mark.parametrize("name", INDEXES)
@pytest.mark.parametrize("kind", ["function", "exception"])
def test_filters(library, session, name, kind):
    documents = DocumentRepository(session, CollectionRepository(session).get(name))
    entries, among, recall = Repository(session, Entry), library.of_kind(kind), []
    for query in library.queries:
        truth = library.nearest(query, 10, among)
        hits = documents.nearest(query, 10, where={"kind": kind}, settings=SETTINGS.get(name))
        assert {hit.entity.meta["kind"] for hit in hits} == {kind}
        recall.append(share_found(library, query, hits, truth))
        hits = entries.nearest(query, 10, where=[Entry.kind == kind])
        recall.append(share_found(library, query, hits, truth))
    assert np.mean(recall) >= 0.95


def test_ranges(library, session, collection):
    documents, recall = DocumentRepository(session, collection), []
    for query in library.queries:
        ordered = library.nearest(query, 40)
        low, high = (ordered[4] + ordered[5]) / 2, (ordered[29] + ordered[30]) / 2
        hits = documents.nearest(query, 100, min_distance=low, max_distance=high, exact=True)
        assert share_found(library, query, hits, ordered[(ordered > low) & (ordered < high)]) == 1
        hits = documents.nearest(query, 20, min_similarity=1 - high)
        recall.append(share_found(library, query, hits, ordered[:20]))
        assert max(hit.distance for hit in hits) <= high
    assert np.mean(recall) >= 0.95


@pytest.mark.parametrize("name", INDEXES)
def test_many_at_once(library, session, name):
    searches = SearchRepository(session, CollectionRepository(session).get(name))
    exactly = searches.nearest_many(library.queries, 10, where={"kind": "class"}, exact=True)
    by_index = searches.nearest_many(library.queries, 10, settings=SETTINGS.get(name))
    recall = []
    for query, exact, found in zip(library.queries, exactly, by_index, strict=True):
        assert share_found(library, query, exact, library.nearest(query, 10, library.of_kind("class"))) == 1
        recall.append(share_found(library, query, found, library.nearest(query, 10)))
    assert np.mean(recall) >= 0.95


def test_more_like_one(library, session, collection):
    searches, recall = SearchRepository(session, collection), []
    for row in range(0, ROWS, 150):
        hits = searches.similar_to(str(row), 10)
        assert str(row) not in {hit.entity.id for hit in hits}
        truth = library.nearest(library.vectors[row], 10, np.arange(ROWS) != row)
        recall.append(share_found(library, library.vectors[row], hits, truth))
    assert np.mean(recall) >= 0.95


def test_recommendations(library, session, collection):
    searches = SearchRepository(session, collection)
    positive, negative = [10, 500], [700]
    units = library.vectors / np.linalg.norm(library.vectors, axis=1, keepdims=True)
    middle = units[positive].mean(axis=0)
    query = middle + (middle - units[negative].mean(axis=0))
    rest = ~np.isin(np.arange(ROWS), positive + negative)
    keys = [[str(row) for row in rows] for rows in (positive, negative)]
    hits = searches.recommend(*keys, k=10, exact=True)
    assert share_found(library, query, hits, library.nearest(query, 10, rest)) == 1

    to_liked = np.min([library.distances(units[row]) for row in positive], axis=0)
    to_disliked = library.distances(units[negative[0]])
    best = np.sort(to_liked[rest & (to_liked < to_disliked)])[:10]
    hits = searches.recommend(*keys, k=10, strategy="best_score", exact=True)
    np.testing.assert_allclose([hit.distance for hit in hits], best, atol=2e-6)


def test_variety(library, session, collection):
    """The reference takes one at a time, as the paper says it, without any matrix."""
    units = library.vectors / np.linalg.norm(library.vectors, axis=1, keepdims=True)
    for query in library.queries:
        similarity = 1 - library.distances(query)
        pool, chosen = [int(row) for row in np.argsort(-similarity, kind="stable")[:20]], []
        while len(chosen) < 5:
            scores = {
                row: 0.3 * similarity[row]
                - 0.7 * max((float(units[row] @ units[other]) for other in chosen), default=0)
                for row in pool
                if row not in chosen
            }
            chosen.append(max(scores, key=lambda row: (scores[row], -pool.index(row))))
        searches = SearchRepository(session, collection)
        hits = searches.diverse(query, 5, fetch_k=20, lambda_mult=0.3, exact=True)
        assert [at(hit) for hit in hits] == chosen


@pytest.mark.parametrize("by", ["kind", "module"])
def test_groups(library, session, collection, by):
    searches = SearchRepository(session, collection)
    values = np.array([one[by] for one in library.metadata])
    for query in library.queries[::3]:
        distances = library.distances(query)
        nearest = {value: np.sort(distances[values == value])[:2] for value in set(values)}
        best = sorted(nearest.items(), key=lambda item: item[1][0])[:4]
        groups = searches.grouped(query, by, groups=4, per_group=2, exact=True)
        assert [group.key for group in groups] == [value for value, _ in best]
        for group, (_, truth) in zip(groups, best, strict=True):
            np.testing.assert_allclose([hit.distance for hit in group.hits], truth, atol=2e-6)


@pytest.mark.parametrize("where", [None, {"kind": "function"}])
def test_hybrid_is_the_fusion_of_its_two_halves(library, session, collection, where):
    hybrid = HybridRepository(session, collection)
    among = np.full(ROWS, fill_value=True) if where is None else library.of_kind("function")
    for question, query in zip(QUESTIONS, library.queries, strict=True):
        word = question.split()[-1]
        texts = [at(hit) for hit in hybrid.text(word, 40, where=where)]
        order = np.argsort(np.where(among, library.distances(query), np.inf), kind="stable")[:40]
        scores: Counter[int] = Counter()
        for place, row in enumerate(order.tolist(), 1):
            scores[row] += 1 / (60 + place)
        for place, row in enumerate(texts, 1):
            scores[row] += 2 / (60 + place)
        best = sorted(scores.values(), reverse=True)[:10]
        hits = hybrid.hybrid(word, query, 10, where=where, fusion=Fusion(text_weight=2, fetch_k=40), exact=True)
        # Equal texts are equally far: rows may change their places, but not their scores, by more than one place.
        np.testing.assert_allclose([hit.score for hit in hits], best, atol=1 / 60 - 1 / 61)
        np.testing.assert_allclose(
            [hit.distance for hit in hits], library.distances(query)[[at(hit) for hit in hits]], atol=2e-6
        )


def test_keywords_find_every_text_that_has_them(library, session, collection):
    hybrid = HybridRepository(session, collection)
    for word in ("json", "thread", "compress"):
        expected = {row for row, content in enumerate(library.contents) if f" {word} " in f" {content.lower()} "}
        found = {at(hit) for hit in hybrid.text(word, ROWS)}
        assert expected
        assert expected <= found
        assert all(word in library.contents[row].lower() for row in found)


def test_summaries_and_bulk_reads(library, session, collection):
    browse = BrowseRepository(session, collection)
    kinds = Counter(one["kind"] for one in library.metadata)
    facets = browse.facets(["kind", "module"], limit=5)
    assert [(one.value, one.count) for one in facets["kind"]] == kinds.most_common()
    modules = Counter(one["module"] for one in library.metadata)
    assert [one.count for one in facets["module"]] == [count for _, count in modules.most_common(5)]
    words = [one["words"] for one in library.metadata]
    stats = browse.stats("words")
    assert (stats.count, stats.minimum, stats.maximum, stats.distinct) == (ROWS, min(words), max(words), len({*words}))
    page = browse.scroll(50, order_by="words", descending=True)
    assert [row.meta["words"] for row in page.items] == sorted(words, reverse=True)[:50]
    matrix = MatrixRepository(session, collection).read(where={"kind": "class"})
    rows = sorted(int(key) for key in matrix.keys)
    assert rows == np.flatnonzero(library.of_kind("class")).tolist()
    order = np.argsort([int(key) for key in matrix.keys])
    np.testing.assert_array_equal(matrix.vectors[order], library.vectors[rows])
