"""The registries of sessions that web frameworks hand out, in place of a session."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import async_scoped_session
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session

from rowspace import AsyncDatabase, AsyncRepository, Database, MatrixRepository, Repository, Vector


class Base(DeclarativeBase):
    pass


class Pebble(Base):
    __tablename__ = "pebbles"
    id: Mapped[int] = mapped_column(primary_key=True)
    vector: Mapped[Any] = mapped_column(Vector(2))


ROWS = [{"id": number, "vector": [1, number]} for number in range(3)]


@pytest.fixture(scope="module", autouse=True)
def tables(create_tables):
    create_tables(Base.metadata)


def test_a_scoped_session(shared_url):
    with Database.open(shared_url) as database:
        session = scoped_session(database.sessions)
        pebbles = Repository(session, Pebble)
        assert pebbles.upsert(ROWS).inserted == 3
        assert [hit.entity.id for hit in pebbles.nearest([1, 2], 1)] == [2]
        assert [hit.entity.id for hit in pebbles.stream([1, 2])] == [2, 1, 0]
        assert MatrixRepository(session, Pebble).read().vectors.shape == (3, 2)
        session.rollback()
        assert pebbles.count() == 0
        session.remove()


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_an_async_scoped_session(shared_url, driver):
    async def main():
        url = make_url(shared_url).set(drivername=f"postgresql+{driver}")
        async with AsyncDatabase.open(url) as database:
            session = async_scoped_session(database.sessions, scopefunc=asyncio.current_task)
            pebbles = AsyncRepository(session, Pebble)
            assert (await pebbles.upsert(ROWS)).inserted == 3
            assert [hit.entity.id async for hit in pebbles.stream([1, 2])] == [2, 1, 0]
            await session.remove()

    asyncio.run(main())
