"""What an application writes, as a strict type checker reads it; `make types` checks this file, nothing runs it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any, Generic, TypeVar, Unpack, assert_type

import numpy as np
import pgvector
import polars as pl
from numpy.typing import NDArray
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session

import rowspace
import rowspace.testing
from rowspace import (
    HNSW,
    AnalysisRepository,
    AsyncRepository,
    Collection,
    CollectionRepository,
    Database,
    Document,
    DocumentIn,
    DocumentService,
    HalfVector,
    HybridRepository,
    IVFFlat,
    LoadReport,
    MatrixRepository,
    Repository,
    SearchHit,
    SearchRepository,
    SearchRequest,
    Vector,
)
from rowspace.filters import Filter, compile_filter
from rowspace.integrations.arrow import read_batches
from rowspace.integrations.embedding import ConcurrentEmbedder, ParallelEmbedder
from rowspace.integrations.langchain import RowspaceRetriever, RowspaceVectorStore
from rowspace.integrations.polars import read_frame
from rowspace.integrations.rag import Answer, AnswerEvent, AnswerRequest, AnswerService, Turn
from rowspace.models import MetadataMixin
from rowspace.repositories import SearchOptions, Where
from rowspace.results import Hit, HybridHit
from rowspace.services import Embedder, SearchService
from rowspace.testing import HashingEmbedder


class Base(DeclarativeBase):
    pass


B = TypeVar("B", bound=Base)


class Article(MetadataMixin, Base):
    __tablename__ = "articles"
    __table_args__ = (HNSW("cosine").index("embedding"), IVFFlat("l2", lists=5).index("title"))

    id: Mapped[int] = mapped_column(primary_key=True)
    year: Mapped[int]
    public: Mapped[bool]
    checked: Mapped[bool | None]
    embedding: Mapped[NDArray[np.float32]] = mapped_column(Vector(3), deferred=True)
    title: Mapped[NDArray[np.float16] | None] = mapped_column(HalfVector(3))


class Review(Article):
    pass


def of_a_model(session: Session) -> None:
    articles = Repository(session, Article, column="embedding")
    hits = articles.nearest([1, 2, 3], k=3, where=[Article.public, or_(Article.year > 2020, ~Article.public)])
    assert_type(hits, list[Hit[Article]])
    assert_type(hits[0].distance, float)
    assert_type(articles.get(1), Article | None)
    articles.upsert({"id": number, "year": 2020} for number in range(3))
    articles.nearest(np.zeros(3), where={"kind": "news", "$or": [{"year": 1}, {"year": {"$gt": 2}}]})
    articles.count(Article.public, Article.year > 2020)
    articles.delete_where(Article.public)
    articles.count(Article.checked, ~Article.checked)
    articles.nearest([1, 2, 3], where=[Article.checked])
    articles.nearest([1, 2, 3], "3")  # type: ignore[arg-type]
    articles.nearest([1, 2, 3], limit=3)  # type: ignore[call-arg]
    articles.nearest([1, 2, 3], where=[Article.year])  # type: ignore[list-item]
    articles.nearest([1, 2, 3], where=Article.year > 2020)  # type: ignore[arg-type]
    articles.add(Document())  # type: ignore[arg-type]
    show(Repository(session, Review).nearest([1, 2, 3]))
    show(HybridRepository(session, Review).hybrid("apples", [1, 2, 3]))
    show(Repository(session, Document).nearest([1, 2, 3]))  # type: ignore[arg-type]


class Feed(Generic[B]):
    def __init__(self, session: Session, model: type[B]) -> None:
        self.rows = Repository(session, model)

    def first(self, query: Any, where: Where | None = None, **options: Unpack[SearchOptions]) -> B | None:
        hits = self.rows.nearest(query, 1, where=where, **options)
        return hits[0].entity if hits else None


def of_a_class_around_a_repository(session: Session) -> None:
    feed = Feed(session, Article)
    assert_type(feed.first([1, 2, 3], [Article.year > 2020], exact=True), Article | None)
    feed.first([1, 2, 3], limit=3)  # type: ignore[call-arg]


def show(hits: Sequence[Hit[Article]]) -> None:
    match hits[0]:
        case HybridHit(entity=article, score=score):
            assert_type(score, float)
        case Hit(article):
            assert_type(article, Article)


def of_scoped_sessions(session: scoped_session[Session], other: async_scoped_session[AsyncSession]) -> None:
    assert_type(Repository(session, Article).session, Session)
    read_frame(session, Article)
    AsyncRepository(other, Article)
    AsyncRepository(session, Article)  # type: ignore[arg-type]


def of_filters(session: Session, where: Filter | None) -> None:
    Repository(session, Article).nearest([1, 2, 3], where=[compile_filter(where, Article.meta)])
    select(Article.id).where(compile_filter(where, Article.meta))
    MatrixRepository(session, Article).read(where)
    AnalysisRepository(session, Article).duplicates(where=where)


def by_words_of_which_there_are_few(session: Session) -> None:
    Repository(session, Article, distance="l2")
    Repository(session, Article, distance="euclid")  # type: ignore[arg-type]
    HNSW("euclid")  # type: ignore[arg-type]
    read_batches(session, Article, metadata="json")
    read_batches(session, Article, metadata="text")  # type: ignore[arg-type]
    documents = CollectionRepository(session)
    documents.create("a", 3, distance="l1", index="ivfflat")
    documents.create("a", 3, index="btree")  # type: ignore[arg-type]


def of_services(database: Database, embedder: Embedder) -> None:
    documents = DocumentService(database, embedder)
    news = documents.create_collection("news", distance="cosine", metadata={"a": 1}, exist_ok=True)
    documents.create_collection("copy", news.dimension, distance=news.distance)
    documents.create_collection("news", metric="cosine")  # type: ignore[call-arg]
    counts: list[int] = []
    rows = [DocumentIn(content="text", embedding=np.zeros(3)), DocumentIn(content="text", embedding=[1, 0, 0])]
    documents.add("news", rows, progress=lambda report: counts.append(report.received), rejects=print)
    documents.add("news", rows, progress=one_more)
    assert_type(documents.search("news", "apples", k=3, mode="mmr", filter={"year": 1}), list[SearchHit])
    documents.search("news", np.zeros(3))
    documents.search("news", pgvector.HalfVector([1, 0, 0]))
    documents.search("news", SearchRequest(vector=np.zeros(3)))
    documents.search("news", "apples", limit=3)  # type: ignore[call-arg]
    documents.search("news", "apples", k="3")  # type: ignore[arg-type]
    documents.search("news", 3)  # type: ignore[arg-type]
    searches = SearchService(database, embedder)
    assert_type(searches.search_many("news", ["apples", [1, 0, 0], np.zeros(3)]), list[list[SearchHit]])
    searches.search_many("news", ["apples", pgvector.Vector([1, 0, 0])])
    searches.search_many("news", np.zeros((2, 3)), k=3)
    searches.search_many("news", ["apples"], text="pears")  # type: ignore[call-arg]


def one_more(report: LoadReport) -> int:
    return report.received + 1


def of_answers(answers: AnswerService) -> None:
    assert_type(answers.answer("Why?", k=3, history=[("user", "What?")]), Answer)
    answers.answer("Why?", top_k=3)  # type: ignore[call-arg]
    with closing(answers.stream("Why?")) as events:
        assert_type(next(events), AnswerEvent)
    AnswerRequest(question="Why?", history=[Turn(role="user", content="What?")])
    assert_type(answers.as_runnable().invoke("Why?"), Answer)
    assert_type(answers.as_tool().name, str)


def of_embedders(embedder: Embedder) -> None:
    inside: Embedder = ConcurrentEmbedder(embedder)
    ConcurrentEmbedder(HashingEmbedder)  # type: ignore[arg-type]
    ParallelEmbedder(HashingEmbedder)
    ParallelEmbedder(inside)  # type: ignore[arg-type]


def of_a_store(embedder: Embedder) -> None:
    store = RowspaceVectorStore.from_texts(["apples"], embedder, collection_name="news")
    assert_type(store, RowspaceVectorStore)
    assert_type(store.as_retriever(search_type="hybrid"), RowspaceRetriever)


def of_frames(session: Session) -> None:
    assert_type(read_frame(session, select(Article.id, Article.year), columns=None), pl.DataFrame)
    read_frame(session, Article, column="id")  # type: ignore[call-arg]


def of_a_collection(session: Session, collection: Collection) -> None:
    searches = SearchRepository(session, collection)
    assert_type(searches.nearest_many([[1, 2, 3]]), list[list[Hit[Document]]])
    assert_type(SearchRepository(session, Article, distance="l2"), SearchRepository[Article])


async def in_async_code(session: AsyncSession, query: Any) -> None:
    articles = AsyncRepository(session, Article)
    assert_type(await articles.nearest(query), list[Hit[Article]])
    async for hit in articles.stream(query):
        assert_type(hit.entity, Article)


def a_name_that_is_misspelt() -> None:
    assert rowspace.Repositories  # type: ignore[attr-defined]
    assert rowspace.testing.HashEmbedder  # type: ignore[attr-defined]
