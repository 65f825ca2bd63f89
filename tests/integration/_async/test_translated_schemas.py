"""One schema a tenant, by `schema_translate_map`: COPY and DDL go where the session's own statements go.

Also where the map is an option of one transaction, or of the session: an engine does not know it then.
"""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import Enum, Integer, Sequence, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, mapped_column

from rowspace import (
    HNSW,
    AsyncCollectionRepository,
    AsyncDoctor,
    AsyncDocumentRepository,
    AsyncIndexAdvisor,
    AsyncMatrixRepository,
    AsyncReembedRepository,
    AsyncRepository,
    AsyncTableRepository,
    Database,
    LoadReport,
    Vector,
)
from rowspace.errors import InvalidSetting
from rowspace.migrations import upgrade
from rowspace.wire import instrument

MINE, THEIRS = {None: "mine", "tenant": "mine"}, {None: "theirs", "tenant": "theirs"}


class Base(DeclarativeBase):
    pass


class Note(Base):
    """A model without a schema."""

    __tablename__ = "notes"
    __table_args__ = (HNSW().index("embedding", name="ix_notes_embedding"),)
    id = mapped_column(Integer, primary_key=True)
    meta = mapped_column("metadata", JSONB, server_default="{}")
    embedding = mapped_column(Vector(2), nullable=False)


class Task(Base):
    """A model of a schema that the map replaces, and so is that of its enumeration."""

    __tablename__ = "tasks"
    __table_args__ = (HNSW().index("embedding", name="ix_tasks_embedding"), {"schema": "tenant"})
    id = mapped_column(Integer, primary_key=True)
    state = mapped_column(Enum("open", "done", name="state", schema="tenant"), server_default="open")
    embedding = mapped_column(Vector(2), nullable=False)


class Ticket(Base):
    """A model whose rows get numbers of a sequence, and what another table has."""

    __tablename__ = "tickets"
    id = mapped_column(Integer, primary_key=True)
    number = mapped_column(Integer, Sequence("ticket_numbers", metadata=Base.metadata))
    task_number = mapped_column(Integer, Sequence("task_numbers", schema="tenant", metadata=Base.metadata))
    notes = mapped_column(Integer, default=select(func.count()).select_from(Note).scalar_subquery())
    embedding = mapped_column(Vector(2), nullable=False)


@pytest.fixture(scope="module")
def url(new_module_database):
    url = new_module_database()
    with Database.open(url) as database:
        for schemas in (MINE, THEIRS):
            upgrade(database.engine, schema=schemas[None])
            with database.engine.connect().execution_options(schema_translate_map=schemas) as connection:
                Base.metadata.create_all(connection)
                connection.commit()
    return url


@pytest.fixture(params=["of the engine", "of the transaction"])
async def session(request, url, driver):
    """A session in the schema `mine`, whose work is rolled back."""
    engine = create_async_engine(url.replace("+psycopg", f"+{driver}"))
    instrument(engine)
    of_engine = request.param == "of the engine"
    bind = engine.execution_options(schema_translate_map=MINE) if of_engine else engine
    async with AsyncSession(bind) as session:
        if not of_engine:
            await session.connection(execution_options={"schema_translate_map": MINE})
        yield session
        await session.rollback()
    await engine.dispose()


async def tables(session, schema):
    query = "SELECT relname FROM pg_class WHERE relnamespace = CAST(CAST(:s AS text) AS regnamespace) AND relkind = 'r'"
    return {name for name in await session.scalars(text(query), {"s": schema}) if name.startswith("documents_")}


@pytest.mark.parametrize("model", [Note, Task])
async def test_bulk_loads_and_reads_are_in_the_schema(session, model):
    rows = [{"id": number, "embedding": [number, 1]} for number in range(5)]
    assert await AsyncRepository(session, model).upsert(rows) == LoadReport(5, inserted=5)
    assert await session.scalar(select(func.count()).select_from(model)) == 5
    matrices = AsyncMatrixRepository(session, model)
    assert await matrices.update([3], np.array([[7.0, 8.0]])) == 1
    assert (await session.get(model, 3)).embedding.tolist() == [7, 8]
    matrix = await matrices.read()
    assert sorted(matrix.keys) == [0, 1, 2, 3, 4]
    async with AsyncTableRepository(session, model).stream(["id"], where=[model.id > 2]) as parts:
        assert [len(part["id"]) async for part in parts] == [2]


@pytest.mark.parametrize("model", [Note, Task])
async def test_indexes_are_looked_up_in_the_schema(session, model):
    await AsyncRepository(session, model).upsert([{"id": 1, "embedding": [1, 1]}])
    assert await AsyncIndexAdvisor(session, model).recall(queries=1) == 1
    found = [finding.check for finding in await AsyncDoctor(session, [model]).check()]
    assert not {"missing-table", "missing-index"} & {*found}


@pytest.mark.parametrize("model", [Note, Task])
async def test_a_recall_is_that_of_the_index_in_the_schema(session, model):
    vectors = np.random.default_rng(1).normal(size=(100, 2))
    await AsyncRepository(session, model).upsert({"id": n, "embedding": v} for n, v in enumerate(vectors))
    await session.execute(text("SET LOCAL enable_seqscan = off"))
    await AsyncIndexAdvisor(session, model).tune(0.5, queries=3)
    assert (await AsyncRepository(session, model).nearest(vectors[7], 1, recall=0.5))[0].entity.id == 7
    async with AsyncSession(session.bind) as other:
        await other.connection(execution_options={"schema_translate_map": THEIRS})
        with pytest.raises(InvalidSetting, match="needs a measured curve"):
            await AsyncRepository(other, model).nearest(vectors[0], recall=0.5)


async def test_an_enumeration_is_that_of_the_schema(session):
    await AsyncRepository(session, Task).upsert([{"id": 1, "state": "done", "embedding": [1, 1]}])
    assert await session.scalar(select(Task.state)) == "done"


async def test_defaults_in_sql_are_of_the_schema(session):
    """They were of the search path: of no sequence, or of that of another tenant."""
    await AsyncRepository(session, Note).upsert([{"id": 1, "embedding": [1, 1]}])
    await AsyncRepository(session, Ticket).upsert([{"id": 1, "embedding": [1, 1]}])
    ticket = (await session.scalars(select(Ticket))).one()
    drawn = await session.execute(
        text("SELECT last_value, (SELECT last_value FROM mine.task_numbers) FROM mine.ticket_numbers")
    )
    assert (ticket.number, ticket.task_number) == drawn.one()
    assert ticket.notes == 1


async def test_collections_are_in_the_schema(session):
    collections = AsyncCollectionRepository(session)
    collection = await collections.create("news", 2)
    documents = AsyncDocumentRepository(session, collection)
    row = {"id": "1", "content": "c", "embedding": [3, 4]}
    assert await documents.upsert([row]) == LoadReport(1, inserted=1)
    assert await documents.upsert([row]) == LoadReport(1, updated=1)
    await documents.create_indexes()
    assert await collections.is_owned(collection)
    assert await collections.is_indexed(collection)
    reembedding = AsyncReembedRepository(session, collection)
    await reembedding.begin("other", 3, None)
    partition = collection.partition
    assert await tables(session, "mine") == {partition, f"{partition}_next", f"{partition}_changes"}
    await reembedding.abandon()
    await collections.drop("news")
    assert not await tables(session, "mine")
    assert not await tables(session, "theirs")
