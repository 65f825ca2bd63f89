"""What an application writes, as a strict type checker reads it; `make types` checks this file, nothing runs it."""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from rowspace import (
    HNSW,
    AnalysisRepository,
    AsyncRepository,
    Collection,
    Document,
    HalfVector,
    IVFFlat,
    MatrixRepository,
    Repository,
    SearchRepository,
    Vector,
)
from rowspace.filters import Filter, compile_filter
from rowspace.models import MetadataMixin
from rowspace.results import Hit


class Base(DeclarativeBase):
    pass


class Article(MetadataMixin, Base):
    __tablename__ = "articles"
    __table_args__ = (HNSW("cosine").index("embedding"), IVFFlat("l2", lists=5).index("title"))

    id: Mapped[int] = mapped_column(primary_key=True)
    year: Mapped[int]
    public: Mapped[bool]
    checked: Mapped[bool | None]
    embedding: Mapped[NDArray[np.float32]] = mapped_column(Vector(3), deferred=True)
    title: Mapped[NDArray[np.float16] | None] = mapped_column(HalfVector(3))


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


def of_filters(session: Session, where: Filter | None) -> None:
    Repository(session, Article).nearest([1, 2, 3], where=[compile_filter(where, Article.meta)])
    select(Article.id).where(compile_filter(where, Article.meta))
    MatrixRepository(session, Article).read(where)
    AnalysisRepository(session, Article).duplicates(where=where)


def of_a_collection(session: Session, collection: Collection) -> None:
    searches = SearchRepository(session, collection)
    assert_type(searches.nearest_many([[1, 2, 3]]), list[list[Hit[Document]]])
    assert_type(SearchRepository(session, Article, distance="l2"), SearchRepository[Article])


async def in_async_code(session: AsyncSession, query: Any) -> None:
    articles = AsyncRepository(session, Article)
    assert_type(await articles.nearest(query), list[Hit[Article]])
    async for hit in articles.stream(query):
        assert_type(hit.entity, Article)
