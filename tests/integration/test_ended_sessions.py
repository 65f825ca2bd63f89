"""A session is for its block, and for one task or thread: what goes beyond is told so, and takes no connection."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import AsyncDatabase, AsyncMatrixRepository, AsyncRepository, Database, Repository, Vector
from rowspace.errors import ConfigurationError


class Base(DeclarativeBase):
    pass


class Grain(Base):
    __tablename__ = "grains"
    id: Mapped[int] = mapped_column(primary_key=True)
    vector = mapped_column(Vector(2))


@pytest.fixture(scope="module", autouse=True)
def tables(create_tables):
    create_tables(Base.metadata)


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
@pytest.mark.parametrize("opened", [Database.begin, Database.session])
def test_a_session_is_of_no_use_after_its_block(shared_url, driver, opened):
    with Database.open(make_url(shared_url).set(drivername=f"postgresql+{driver}")) as database:
        with opened(database) as session:
            grains = Repository(session, Grain)
            assert grains.count() == 0
        with pytest.raises(ConfigurationError, match="Its block or its request has ended"):
            grains.count()
        assert database.engine.pool.checkedout() == 0


@pytest.fixture(params=["psycopg", "asyncpg"])
async def database(request, shared_url):
    url = make_url(shared_url).set(drivername=f"postgresql+{request.param}")
    async with AsyncDatabase.open(url) as opened:
        yield opened


@pytest.mark.parametrize("opened", [AsyncDatabase.begin, AsyncDatabase.session])
async def test_an_async_session_is_of_no_use_after_its_block(database, opened):
    async with opened(database) as session:
        grains = AsyncRepository(session, Grain)
        assert await grains.count() == 0
    with pytest.raises(ConfigurationError, match="Its block or its request has ended"):
        await anext(grains.stream([1, 2]))
    assert database.engine.pool.checkedout() == 0


async def test_two_tasks_that_begin_in_one_session_at_once(database):
    async with database.session() as session:
        grains = AsyncMatrixRepository(session, Grain)
        both = await asyncio.gather(grains.read(), grains.read(), return_exceptions=True)
    first, second = both
    assert first.vectors.shape == (0, 2)
    assert isinstance(second, ConfigurationError)
    assert "Another thread or task is using this session" in str(second)


async def sleep(session):
    await session.execute(text("SELECT pg_sleep(0.01)"))


async def upsert(session):
    await AsyncRepository(session, Grain).upsert({"id": x, "vector": [1, x]} for x in range(300))


@pytest.mark.parametrize("opened", [AsyncDatabase.begin, AsyncDatabase.session])
@pytest.mark.parametrize("is_begun", [False, True])
@pytest.mark.parametrize("work", [sleep, upsert])
async def test_a_block_that_ends_while_another_of_its_tasks_waits_for_the_server(database, opened, is_begun, work):
    """As by `asyncio.gather`, which lets the others go on where one fails: the pool gets no transaction of theirs."""

    async def fail(after):
        for _ in range(after):
            await asyncio.sleep(0)
        message = "mine"
        raise ValueError(message)

    async def several(after):
        async with opened(database) as session:
            if is_begun:
                await session.execute(text("SELECT 1"))
            tasks.append(asyncio.create_task(work(session)))
            await asyncio.gather(*tasks, fail(after))

    for after in range(0, 45, 3):
        tasks = []
        # At the first, the pool has no connection yet. That the rollback fails then is not what the caller is told.
        with pytest.raises(ValueError, match="mine"):
            await several(after)
        async with database.begin() as session:
            assert await AsyncRepository(session, Grain).count() == 0
            await asyncio.gather(*tasks, return_exceptions=True)
            assert (await AsyncMatrixRepository(session, Grain).read([Grain.id > 0])).vectors.shape == (0, 2)
        assert database.engine.pool.checkedout() == 0
