"""An engine that Rowspace has never seen, or not yet: arrays of vectors travel as text, or as the driver's own list."""

from __future__ import annotations

import pytest
from sqlalchemy import NullPool, create_engine, literal, make_url, select, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from rowspace import AsyncSearchRepository, SearchRepository, Vector
from rowspace.wire import instrument


def ids(found):
    return [[hit.entity.id for hit in hits] for hits in found]


@pytest.fixture
def wanted(world):
    return [world.nearest(query, 3) for query in world.queries]


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_sync(world, wanted, driver):
    engine = create_engine(make_url(world.url).set(drivername=f"postgresql+{driver}"), poolclass=NullPool)
    with Session(engine) as session:
        found = SearchRepository(session, world.passage).nearest_many(world.queries, 3, settings=world.wide)
    assert ids(found) == wanted


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_async(world, wanted, driver):
    engine = create_async_engine(make_url(world.url).set(drivername=f"postgresql+{driver}"), poolclass=NullPool)
    async with AsyncSession(engine) as session:
        found = await AsyncSearchRepository(session, world.passage).nearest_many(world.queries, 3, settings=world.wide)
    assert ids(found) == wanted


VECTOR = select(literal([1, 2], Vector(2)))


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_connection_in_use_goes_on_when_its_engine_is_instrumented(world, driver):
    """As where one thread makes the Database of an engine that others work with."""
    engine = create_engine(make_url(world.url).set(drivername=f"postgresql+{driver}"), poolclass=NullPool)
    with engine.connect() as one, engine.connect() as other:
        assert one.scalar(VECTOR).tolist() == [1, 2]
        instrument(engine)
        for _ in range(2):
            assert one.scalar(VECTOR).tolist() == [1, 2]
        # What is wrong with a statement is said as it is.
        with pytest.raises(ProgrammingError, match='"nowhere" does not exist'):
            other.execute(text("SELECT FROM nowhere"))


async def test_an_async_one_too(world):
    engine = create_async_engine(make_url(world.url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    async with engine.connect() as connection:
        assert (await connection.scalar(VECTOR)).tolist() == [1, 2]
        instrument(engine)
        assert (await connection.scalar(VECTOR)).tolist() == [1, 2]
