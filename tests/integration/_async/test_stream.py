"""Results as a stream: complete, in order, bounded, and a loop that ends early costs nothing."""

from __future__ import annotations

from contextlib import aclosing

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import (
    HNSW,
    AsyncBrowseRepository,
    AsyncCollectionRepository,
    AsyncDocumentRepository,
    AsyncRepository,
    Vector,
)
from rowspace.errors import ConfigurationError, InvalidSetting, InvalidVector
from rowspace.repositories._async import streaming

ROWS = 300
VECTORS = np.random.default_rng(8).normal(size=(ROWS, 4)).astype(np.float32)


class Base(DeclarativeBase):
    pass


class Streamed(Base):
    __tablename__ = "streamed"
    __table_args__ = (HNSW("l2").index("embedding", name="ix_streamed_embedding"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    embedding: Mapped[object] = mapped_column(Vector(4), deferred=True)


@pytest.fixture(scope="module", autouse=True)
def _table(create_tables):
    create_tables(Base.metadata)


@pytest.fixture
async def documents(either_session):
    collections = AsyncCollectionRepository(either_session)
    neighbour = AsyncDocumentRepository(either_session, await collections.create("neighbour", 4, distance="l2"))
    await neighbour.upsert([{"id": "not mine", "content": "c", "meta": {"even": True}, "embedding": [1, 1, 1, 1]}])
    documents = AsyncDocumentRepository(either_session, await collections.create("streamed", 4, distance="l2"))
    await documents.upsert(
        {"id": f"{at:03}", "content": "c", "meta": {"even": at % 2 == 0}, "embedding": vector}
        for at, vector in enumerate(VECTORS)
    )
    await documents.create_indexes()
    return documents


def distances(rows=slice(None)):
    return np.sort(np.linalg.norm(VECTORS[rows] - 1, axis=1))


async def test_a_stream_leaves_no_cursor_behind(session):
    collection = await AsyncCollectionRepository(session).create("streamed", 4, distance="l2")
    documents = AsyncDocumentRepository(session, collection)
    await documents.upsert({"id": str(at), "content": "c", "embedding": vector} for at, vector in enumerate(VECTORS))
    async with aclosing(documents.stream(np.ones(4), chunk_size=10)) as hits:
        await anext(hits)
    read = [hit async for hit in documents.stream(np.ones(4))]
    read += [document async for document in AsyncBrowseRepository(session, collection).stream()]
    assert len(read) == 2 * ROWS
    assert (await session.execute(text("SELECT name FROM pg_cursors WHERE name <> ''"))).all() == []
    # Which the server refuses while a cursor reads from it.
    await AsyncCollectionRepository(session).drop("streamed")


async def test_a_transaction_that_ends_in_the_loop_is_said_on_every_driver(session):
    repository = AsyncRepository(session, Streamed)
    await repository.upsert({"id": at, "embedding": vector} for at, vector in enumerate(VECTORS))
    await session.commit()
    read = 0
    with pytest.raises(ConfigurationError, match="Commit or roll back after the loop"):  # noqa: PT012 -- of the loop
        async for _ in repository.stream(VECTORS[0], chunk_size=5):
            read += 1
            if read == 2:
                await session.rollback()
    assert read < ROWS


async def test_every_document_comes_nearest_first(documents):
    hits = [hit async for hit in documents.stream(np.ones(4), chunk_size=50)]
    assert len({hit.entity.id for hit in hits}) == ROWS, "an index scan would have ended after ef_search rows"
    assert [hit.distance for hit in hits] == pytest.approx(distances(), rel=1e-5)
    assert hits[0].similarity > hits[-1].similarity


async def test_rows_are_waited_for_by_chunks(documents, monkeypatch):
    waited, portal_of = [], streaming.portal_of

    def watched(rows):
        parts = rows.partitions
        monkeypatch.setattr(type(rows), "partitions", lambda _, size: waited.append(size) or parts(size))
        return portal_of(rows)

    monkeypatch.setattr(streaming, "portal_of", watched)
    assert len([hit async for hit in documents.stream(np.ones(4), chunk_size=50)]) == ROWS
    assert waited == [50]


async def test_what_is_asked_for_comes_alone(documents):
    stream = documents.stream(np.ones(4), where={"even": True}, max_distance=2.5, min_distance=1, with_embedding=True)
    hits = [hit async for hit in stream]
    wanted = [one for one in distances(slice(None, None, 2)) if 1 <= one <= 2.5]
    assert [hit.distance for hit in hits] == pytest.approx(wanted, rel=1e-5)
    assert hits[0].entity.embedding.tolist() == VECTORS[int(hits[0].entity.id)].tolist()


async def test_a_break_leaves_the_session_usable(documents):
    for _ in range(3):
        async for hit in documents.stream(np.ones(4), chunk_size=10):
            assert hit.distance == pytest.approx(distances()[0], rel=1e-5)
            break
        assert await documents.count() == ROWS
    assert len(await documents.nearest(np.ones(4), 5)) == 5


async def test_the_session_can_be_used_within_the_loop(documents):
    seen = 0
    async for hit in documents.stream(np.ones(4), chunk_size=100):
        if seen % 100 == 50:
            assert (await documents.get([hit.entity.id]))[0] is hit.entity
        seen += 1
    assert seen == ROWS


async def test_an_error_in_the_loop_closes_the_cursor(documents, either_session):
    async def consume():
        async for _ in documents.stream(np.ones(4), chunk_size=10):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await consume()
    assert await either_session.scalar(text("SELECT 1")) == 1


async def test_a_chunk_is_all_that_is_in_memory(documents, either_session):
    seen = []
    async for hit in documents.stream(np.ones(4), chunk_size=20):
        seen.append(hit.distance)
        # Entities that nobody holds are let go: the session remembers weakly.
        assert len(either_session.identity_map) <= 2 * 20 + 1
    assert len(seen) == ROWS


async def test_a_stream_refuses_what_a_search_refuses(documents):
    with pytest.raises(InvalidVector):
        [hit async for hit in documents.stream([1, 2])]
    with pytest.raises(InvalidSetting, match="chunk_size must be a whole number of at least 1, got 0"):
        [hit async for hit in documents.stream(np.ones(4), chunk_size=0)]


async def test_rows_without_a_query(documents, either_session):
    browse = AsyncBrowseRepository(either_session, documents.collection)
    ids = [row.id async for row in browse.stream(where={"even": False}, chunk_size=7)]
    assert ids == [f"{at:03}" for at in range(1, ROWS, 2)]
    descending = [row.id async for row in browse.stream(order_by="even", descending=True, chunk_size=7)]
    assert descending == sorted((f"{at:03}" for at in range(ROWS)), key=lambda i: (int(i) % 2 == 0, i), reverse=True)


async def test_rows_of_a_model(either_session):
    repository = AsyncRepository(either_session, Streamed)
    await repository.upsert({"id": at, "embedding": vector} for at, vector in enumerate(VECTORS))
    hits = [hit async for hit in repository.stream(np.ones(4), where=[Streamed.id < 100])]
    assert [hit.distance for hit in hits] == pytest.approx(distances(slice(100)), rel=1e-5)
    keys = [row.id async for row in AsyncBrowseRepository(either_session, Streamed).stream(where=[Streamed.id < 5])]
    assert keys == [0, 1, 2, 3, 4]
