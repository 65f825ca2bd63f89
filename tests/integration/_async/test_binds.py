"""A session that has an engine for some models alone: each statement finds it by the model that it is about."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import Integer, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, mapped_column

from rowspace import (
    HNSW,
    AsyncAnalysisRepository,
    AsyncBrowseRepository,
    AsyncCollectionRepository,
    AsyncDoctor,
    AsyncDocumentRepository,
    AsyncHybridRepository,
    AsyncIndexAdvisor,
    AsyncMatrixRepository,
    AsyncRepository,
    AsyncSearchRepository,
    AsyncTableRepository,
    Collection,
    Document,
    Vector,
)


class Base(DeclarativeBase):
    pass


class Stone(Base):
    __tablename__ = "stones_of_one_engine"
    __table_args__ = (HNSW().index("embedding", name="ix_stones_of_one_engine"),)
    id = mapped_column(Integer, primary_key=True)
    text = mapped_column(Text, server_default="")
    meta = mapped_column("metadata", JSONB, server_default="{}")
    embedding = mapped_column(Vector(2), nullable=False)


@pytest.fixture(scope="module", autouse=True)
def tables(create_tables):
    create_tables(Base.metadata)


@pytest.fixture
async def session(engine):
    async with engine.connect() as connection, connection.begin() as transaction:
        binds = {Base: connection, Collection: connection, Document: connection}
        async with AsyncSession(binds=binds, join_transaction_mode="create_savepoint") as session:
            yield session
        await transaction.rollback()


ROWS = [{"id": number, "meta": {"of": "mine"}, "embedding": [1.0, number / 50]} for number in range(200)]


async def test_what_repositories_do_is_done_by_the_engine_of_the_model(session):
    repository = AsyncRepository(session, Stone)
    assert (await repository.upsert(ROWS)).inserted == 200
    assert (await repository.upsert(ROWS[:3])).updated == 3
    assert [hit.entity.id for hit in await repository.nearest([1, 0], k=2)] == [0, 1]
    assert len(await repository.nearest([1, 0], k=150, where={"of": "mine"})) == 150
    search = AsyncSearchRepository(session, Stone)
    assert [len(hits) for hits in await search.nearest_many([[1, 0], [0, 1]], k=3)] == [3, 3]
    assert len(await search.diverse([1, 0], k=3)) == len(await search.similar_to(5, k=3)) == 3
    assert len(await search.grouped([1, 0], by="of", groups=1)) == 1
    matrices = AsyncMatrixRepository(session, Stone)
    assert await matrices.update([7], [[0, 1]]) == 1
    found = await matrices.read({"of": "mine"})
    assert found.vectors[found.keys.index(7)].tolist() == [0, 1]
    assert len((await matrices.read()).keys) == 200
    async with AsyncTableRepository(session, Stone).stream(["id"]) as parts:
        assert sum([len(part["id"]) async for part in parts]) == 200
    assert len((await AsyncBrowseRepository(session, Stone).scroll(5)).items) == 5
    assert len((await AsyncAnalysisRepository(session, Stone).distances([1, 0])).keys) == 200
    assert await repository.delete([0]) == 1


async def test_and_so_is_what_an_index_is_tuned_by(session):
    await AsyncRepository(session, Stone).upsert(ROWS)
    advisor = AsyncIndexAdvisor(session, Stone)
    queries = np.float32([[1, 0], [0, 1]])
    assert await advisor.recall(queries=queries) == 1
    assert (await advisor.explain([1, 0], k=3)).rows_returned == 3
    assert (await advisor.tune(0.9, 3, queries=queries)).reached
    assert (await AsyncRepository(session, Stone).nearest([1, 0], k=1))[0].entity.id == 0


async def test_and_what_is_done_with_documents(session):
    collections = AsyncCollectionRepository(session)
    collection = await collections.create("of one engine", 2)
    documents = AsyncDocumentRepository(session, collection)
    assert await documents.begin_first_load()
    rows = [{"id": str(row["id"]), "content": "a stone", "embedding": row["embedding"]} for row in ROWS]
    assert (await documents.upsert(rows)).inserted == 200
    await documents.create_indexes()
    assert await documents.count() == 200
    hits = await AsyncHybridRepository(session, collection).hybrid("stone", [1, 0], k=2)
    assert hits[0].entity.id == "0"
    assert (await AsyncIndexAdvisor(session, collection).explain([1, 0], k=3)).rows_returned == 3
    found = await AsyncDoctor(session, [Stone]).check(recall=0.5, queries=2)
    assert "recall" not in {finding.check for finding in found}
    assert await collections.is_owned(collection)
    assert await collections.is_indexed(collection)
    await collections.drop(collection.name)
