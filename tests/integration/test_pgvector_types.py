"""Models with the column types of `pgvector.sqlalchemy`: the repositories take them as they are, on every driver."""

from __future__ import annotations

import numpy as np
import pytest
from pgvector.asyncpg import register_vector
from pgvector.psycopg import register_vector_async
from pgvector.sqlalchemy import BIT, HALFVEC, VECTOR
from sqlalchemy import create_engine, event, make_url
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
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
    Vector,
)
from rowspace.errors import ConfigurationError, DimensionMismatch
from rowspace.wire import instrument

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


class Own(DeclarativeBase):
    pass


class Owned(Own):
    """The same table by a model with Rowspace's type."""

    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    embedding: Mapped[object] = mapped_column(Vector(DIMENSION))


class Signs(Base):
    __tablename__ = "signs"

    id: Mapped[int] = mapped_column(primary_key=True)
    signs = mapped_column(BIT(DIMENSION))


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(5).normal(size=(ROWS, DIMENSION)).astype(np.float32)


@pytest.fixture(scope="module")
def filled(new_module_database, vectors):
    url = make_url(new_module_database())
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


@pytest.mark.parametrize("instrumented", [True, False])
async def test_beside_an_application_that_registers_vectors_on_psycopg(filled, vectors, instrumented):
    engine = create_async_engine(filled)
    event.listen(engine.sync_engine, "connect", lambda connection, _: connection.run_async(register_vector_async))
    if instrumented:
        instrument(engine)
    await _search_both(engine, vectors)


async def test_beside_an_application_that_registers_vectors_on_asyncpg(filled, vectors):
    engine = create_async_engine(filled.set(drivername="postgresql+asyncpg"))
    event.listen(engine.sync_engine, "connect", lambda connection, _: connection.run_async(register_vector))
    # Its codec takes no text, so that ours has to come after it.
    instrument(engine)
    await _search_both(engine, vectors)


async def test_codecs_of_asyncpg_on_an_engine_that_was_never_instrumented(filled, vectors):
    engine = create_async_engine(filled.set(drivername="postgresql+asyncpg"))
    event.listen(engine.sync_engine, "connect", lambda connection, _: connection.run_async(register_vector))
    async with AsyncSession(engine) as session:
        with pytest.raises(ConfigurationError, match=r"call rowspace\.wire\.instrument\(engine\)"):
            await AsyncRepository(session, Item).nearest(vectors[3])
    await engine.dispose()


def test_bits_of_pgvectors_type_are_chosen_for_variety(filled, vectors):
    with Database.open(filled) as database, database.session() as session:
        session.add_all(Signs(id=n, signs="".join("01"[int(x > 0)] for x in v)) for n, v in enumerate(vectors[:40]))
        session.flush()
        repository = SearchRepository(session, Signs)
        nearest = [hit.entity.id for hit in repository.diverse(vectors[3] > 0, 5, lambda_mult=1)]
        assert len({*nearest}) == 5
        assert nearest[0] == 3
        session.rollback()


async def _search_both(engine, vectors):
    async with AsyncSession(engine) as session:
        for model, key in ((Item, ROWS + 1), (Owned, ROWS + 2)):
            hits = await AsyncRepository(session, model, distance="l2").nearest(vectors[3], 5, with_embedding=True)
            assert [hit.entity.id for hit in hits] == nearest(vectors, vectors[3], 5)
            np.testing.assert_allclose(np.asarray(list(hits[0].entity.embedding)), vectors[3], atol=1e-6)
            session.add(model(id=key, embedding=vectors[4]))
            await session.flush()
        await session.rollback()
    await engine.dispose()


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
