"""Beside an application that has codecs of its own on asyncpg."""

from __future__ import annotations

import json

from sqlalchemy import event, make_url, select
from sqlalchemy.dialects.postgresql import JSON, JSONB
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import AsyncDatabase, AsyncRepository, Vector
from rowspace.wire import instrument


class Base(DeclarativeBase):
    pass


class Thing(Base):
    __tablename__ = "things_by_codec"
    id: Mapped[int] = mapped_column(primary_key=True)
    binary: Mapped[object] = mapped_column(JSONB)
    plain: Mapped[object] = mapped_column(JSON)
    embedding: Mapped[object] = mapped_column(Vector(1))


async def objects(connection):
    """Have the connection take and give objects for JSON, as one does who has a faster library for it."""
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, schema="pg_catalog", encoder=json.dumps, decoder=json.loads)


async def test_json_is_loaded_whatever_a_codec_takes(new_database):
    url = make_url(new_database()).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url, json_serializer=lambda value: value, json_deserializer=lambda value: value)
    event.listen(engine.sync_engine, "connect", lambda connection, _: connection.run_async(objects))
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    value = {"a": [1, None, "x"]}
    async with AsyncDatabase(engine).begin() as session:
        rows = [{"id": at, "binary": value, "plain": value, "embedding": [at]} for at in range(3)]
        await AsyncRepository(session, Thing).upsert(rows)
        found = await session.execute(select(Thing.binary, Thing.plain))
        assert found.all() == 3 * [(value, value)]
    await engine.dispose()


async def test_an_engine_that_ran_statements_by_text_before(new_database):
    engine = create_async_engine(make_url(new_database()).set(drivername="postgresql+asyncpg"), pool_size=1)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)

    async def add(at):
        async with AsyncSession(engine) as session, session.begin():
            session.add(Thing(id=at, binary=at, plain=at, embedding=[at]))

    async def read():
        async with AsyncSession(engine) as session:
            return [value.tolist() for value in await session.scalars(select(Thing.embedding).order_by(Thing.id))]

    await add(1)
    assert await read() == [[1]]
    # The connection in the pool has both statements prepared, with the codecs of text.
    instrument(engine)
    await add(2)
    assert await read() == [[1], [2]]
    await engine.dispose()
