"""An engine that Rowspace has never seen: arrays of vectors travel as text, or as the driver's own list."""

from __future__ import annotations

import pytest
from sqlalchemy import NullPool, create_engine, make_url
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from rowspace import AsyncSearchRepository, SearchRepository


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
