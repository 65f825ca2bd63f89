"""Models with the column types of `pgvector.sqlalchemy`: the repositories take them as they are, on every driver."""

from __future__ import annotations

import numpy as np
import pytest
from pgvector.sqlalchemy import HALFVEC, VECTOR
from sqlalchemy import create_engine, make_url
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from rowspace import (
    HNSW,
    AsyncDatabase,
    AsyncRepository,
    Database,
    IndexBuilder,
    MatrixRepository,
    Repository,
    SearchRepository,
)
from rowspace.errors import DimensionMismatch

ROWS, DIMENSION = 300, 8


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "items"
    __table_args__ = (HNSW("l2").index("embedding"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    embedding: Mapped[object] = mapped_column(VECTOR(DIMENSION))


class Small(Base):
    __tablename__ = "smalls"
    id: Mapped[int] = mapped_column(primary_key=True)
    embedding: Mapped[object] = mapped_column(HALFVEC(DIMENSION))


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(5).normal(size=(ROWS, DIMENSION)).astype(np.float32)


@pytest.fixture(scope="module")
def filled(new_database, vectors):
    url = make_url(new_database())
    with Database.open(url) as database:
        Base.metadata.create_all(database.engine)
        with database.begin() as session:
            report = Repository(session, Item).upsert({"id": n, "embedding": v} for n, v in enumerate(vectors))
            Repository(session, Small).upsert({"id": n, "embedding": v} for n, v in enumerate(vectors))
            assert report.written == ROWS
    return url


def nearest(vectors, query, k):
    return np.argsort(np.linalg.norm(vectors - query, axis=1))[:k].tolist()


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_sync(filled, vectors, driver):
    with Database.open(filled.set(drivername=f"postgresql+{driver}")) as database, database.session() as session:
        items = Repository(session, Item)
        hits = items.nearest(vectors[3], 5, with_embedding=True)
        assert [hit.entity.id for hit in hits] == nearest(vectors, vectors[3], 5)
        np.testing.assert_allclose(np.asarray(list(hits[0].entity.embedding)), vectors[3], atol=1e-6)
        assert items.nearest(vectors[3], where=[Item.id < 3], max_distance=100)[0].entity.id < 3
        many = SearchRepository(session, Item).nearest_many(vectors[:4], 3)
        assert [[hit.entity.id for hit in found] for found in many] == [nearest(vectors, v, 3) for v in vectors[:4]]
        assert len(SearchRepository(session, Item).recommend([4], [5], k=3)) == 3
        matrix = MatrixRepository(session, Item).read()
        np.testing.assert_array_equal(matrix.vectors[np.argsort(matrix.keys)], vectors)
        with pytest.raises(DimensionMismatch):
            items.nearest([1, 2])
        assert Repository(session, Small).nearest(vectors[7], 1)[0].entity.id == 7


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_async(filled, vectors, driver):
    async with AsyncDatabase.open(filled.set(drivername=f"postgresql+{driver}")) as database:
        async with database.session() as session:
            hits = await AsyncRepository(session, Item).nearest(vectors[3], 5, with_embedding=True)
        np.testing.assert_allclose(np.asarray(list(hits[0].entity.embedding)), vectors[3], atol=1e-6)
        assert [hit.entity.id for hit in hits] == nearest(vectors, vectors[3], 5)


def test_on_an_engine_that_was_never_instrumented(filled, vectors):
    engine = create_engine(filled)
    with Session(engine) as session:
        hits = Repository(session, Item).nearest(vectors[3], 5, with_embedding=True)
        assert [hit.entity.id for hit in hits] == nearest(vectors, vectors[3], 5)
    engine.dispose()


def test_the_index_is_known(filled):
    with Database.open(filled) as database:
        states = {status.name: status.state for status in IndexBuilder(database.engine, Item).status()}
        assert states["ix_items_embedding"] == "valid"
