"""A stream that outlives its session costs nobody a transaction: its connection may be somebody else's by then.

As where a client of a web server hangs up, and the generator that was streamed to it ends when Python finds it.
"""

from __future__ import annotations

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import (
    AsyncDatabase,
    AsyncMatrixRepository,
    AsyncRepository,
    Database,
    MatrixRepository,
    Repository,
    Vector,
)
from rowspace.errors import ConfigurationError, RowspaceError


class Base(DeclarativeBase):
    pass


class Drop(Base):
    __tablename__ = "drops"
    id: Mapped[int] = mapped_column(primary_key=True)
    vector = mapped_column(Vector(2))


class Wide(Base):
    """Rows that take several parts of a COPY."""

    __tablename__ = "wide_drops"
    id: Mapped[int] = mapped_column(primary_key=True)
    vector = mapped_column(Vector(2_000))


FILL = text("INSERT INTO wide_drops SELECT x, array_fill(x, ARRAY[2000])::vector FROM generate_series(1, 1500) x")
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


def left_open(database):
    """Begin a stream of matrices in a session, which cannot roll back then, and says so."""
    begun = []

    def leave():
        with database.session() as session:
            stream = MatrixRepository(session, Wide).stream()
            matrices = stream.__enter__()
            assert len(next(matrices).keys) < 1_500
            begun.extend([stream, matrices])

    with pytest.raises(ConfigurationError, match="The connection of this session is busy"):
        leave()
    return begun


async def left_open_async(database):
    begun = []

    async def leave():
        async with database.session() as session:
            stream = AsyncMatrixRepository(session, Wide).stream()
            matrices = await stream.__aenter__()
            assert len((await anext(matrices)).keys) < 1_500
            begun.extend([stream, matrices])

    with pytest.raises(RowspaceError, match=r"another (command|operation)"):
        await leave()
    return begun


@pytest.mark.parametrize("read_on", [False, True])
@pytest.mark.parametrize("database", ["psycopg"], indirect=True)
def test_late_matrices(database, read_on):
    with database.begin() as session:
        session.execute(FILL)
    stream, matrices = left_open(database)
    assert database.engine.pool.checkedout() == 0
    with database.begin() as other:
        other.execute(text("CREATE TEMPORARY TABLE mine (id int)"))
        if read_on:
            with pytest.raises(ConfigurationError, match="The transaction of the stream has ended"):
                next(matrices)
        stream.__exit__(None, None, None)
        assert other.scalar(text("SELECT count(*) FROM mine")) == 0


@pytest.mark.parametrize("read_on", [False, True])
async def test_late_async_matrices(async_database, read_on):
    async with async_database.begin() as session:
        await session.execute(FILL)
    stream, matrices = await left_open_async(async_database)
    assert async_database.engine.pool.checkedout() == 0
    async with async_database.begin() as other:
        await other.execute(text("CREATE TEMPORARY TABLE mine (id int)"))
        if read_on:
            with pytest.raises(ConfigurationError, match="The transaction of the stream has ended"):
                await anext(matrices)
        await stream.__aexit__(None, None, None)
        assert await other.scalar(text("SELECT count(*) FROM mine")) == 0
