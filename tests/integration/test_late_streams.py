"""A stream that outlives its session costs nobody a transaction: its connection may be somebody else's by then.

As where a client of a web server hangs up, and the generator that was streamed to it ends when Python finds it.
"""

from __future__ import annotations

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import AsyncDatabase, AsyncRepository, Database, Repository, Vector
from rowspace.errors import ConfigurationError


class Base(DeclarativeBase):
    pass


class Drop(Base):
    __tablename__ = "drops"
    id: Mapped[int] = mapped_column(primary_key=True)
    vector = mapped_column(Vector(2))


ROWS = [{"id": number, "vector": [1, number]} for number in range(25)]
ONE = {"pool_size": 1, "max_overflow": 0}


@pytest.fixture(params=["psycopg", "psycopg2"])
def database(request, new_database):
    url = make_url(new_database()).set(drivername=f"postgresql+{request.param}")
    with Database.open(url, **ONE) as opened:
        Base.metadata.create_all(opened.engine)
        with opened.begin() as session:
            Repository(session, Drop).upsert(ROWS)
        yield opened


@pytest.fixture(params=["psycopg", "asyncpg"])
async def async_database(request, new_database):
    url = make_url(new_database()).set(drivername=f"postgresql+{request.param}")
    async with AsyncDatabase.open(url, **ONE) as opened:
        async with opened.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with opened.begin() as session:
            await AsyncRepository(session, Drop).upsert(ROWS)
        yield opened


@pytest.mark.parametrize("read_on", [False, True])
def test_a_late_stream(database, read_on):
    with database.session() as session:
        hits = Repository(session, Drop).stream([1, 0], chunk_size=10)
        assert next(hits).entity.id == 0
    with database.begin() as other:
        other.execute(text("CREATE TEMPORARY TABLE mine (id int)"))
        if read_on:
            with pytest.raises(ConfigurationError, match="The transaction of the stream has ended"):
                # What was fetched is there.
                assert [next(hits).entity.id for _ in range(24)] == []
        hits.close()
        assert other.scalar(text("SELECT count(*) FROM mine")) == 0


@pytest.mark.parametrize("read_on", [False, True])
async def test_a_late_async_stream(async_database, read_on):
    async with async_database.session() as session:
        hits = AsyncRepository(session, Drop).stream([1, 0], chunk_size=10)
        assert (await anext(hits)).entity.id == 0
    async with async_database.begin() as other:
        await other.execute(text("CREATE TEMPORARY TABLE mine (id int)"))
        if read_on:
            with pytest.raises(ConfigurationError, match="The transaction of the stream has ended"):
                # What was fetched is there.
                assert [(await anext(hits)).entity.id for _ in range(24)] == []
        await hits.aclose()
        assert await other.scalar(text("SELECT count(*) FROM mine")) == 0


async def test_one_that_was_read_to_the_end_within_the_last_chunk_just_ends(async_database):
    async with async_database.session() as session:
        hits = AsyncRepository(session, Drop).stream([1, 0], chunk_size=50)
        assert (await anext(hits)).entity.id == 0
    assert [hit.entity.id async for hit in hits] == [*range(1, 25)]
