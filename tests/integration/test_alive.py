"""Pooled connections that a failover cut are replaced before they are handed out, and busy ones are not asked."""

from __future__ import annotations

from contextlib import asynccontextmanager
from inspect import isawaitable
from types import SimpleNamespace

import pytest
from sqlalchemy import event, make_url, text

from rowspace import AsyncDatabase, Database
from rowspace.errors import StoreUnavailable
from rowspace.wire import alive

DRIVERS = [(Database, "psycopg"), (Database, "psycopg2"), (AsyncDatabase, "psycopg"), (AsyncDatabase, "asyncpg")]
PID = text("SELECT pg_backend_pid()")


@pytest.fixture(params=DRIVERS, ids=lambda one: f"{one[0].__name__}-{one[1]}")
async def pool(request, rowspace_url):
    """Return the engine, and a coroutine function that takes a connection, asks for its process and gives it back."""
    kind, driver = request.param
    url = make_url(rowspace_url).set(drivername=f"postgresql+{driver}")
    async with opened(kind, url) as database:

        async def process():
            if kind is Database:
                with database.session() as session:
                    return session.scalar(PID)
            async with database.session() as session:
                return await session.scalar(PID)

        yield getattr(database.engine, "sync_engine", database.engine), process


@asynccontextmanager
async def opened(kind, url):
    if kind is AsyncDatabase:
        async with AsyncDatabase.open(url) as database:
            yield database
    else:
        with Database.open(url) as database:
            yield database


@pytest.fixture
def end(rowspace_url):
    """Return a function that ends a server process and waits until it is gone."""

    def end(process):
        with Database.open(rowspace_url) as database, database.begin() as session:
            assert session.scalar(text("SELECT pg_terminate_backend(:process, 5000)"), {"process": process})

    return end


async def test_a_connection_that_lay_is_pinged_and_replaced(pool, end, monkeypatch):
    _, process = pool
    first = await process()
    assert await process() == first
    end(first)
    monkeypatch.setattr(alive, "IDLE_SECONDS", 0)
    assert await process() != first


async def test_a_connection_in_use_a_moment_ago_is_not_pinged(pool, end, monkeypatch):
    engine, process = pool
    pings = []
    ping = engine.dialect.do_ping
    monkeypatch.setattr(engine.dialect, "do_ping", lambda connection: pings.append(1) or ping(connection))
    monkeypatch.setattr(alive, "IDLE_SECONDS", 3_600)
    first = await process()
    assert [await process() for _ in range(3)] == [first] * 3
    assert not pings
    monkeypatch.setattr(alive, "IDLE_SECONDS", 0)
    assert await process() == first
    assert len(pings) == 1
    monkeypatch.setattr(alive, "IDLE_SECONDS", 3_600)
    end(first)
    with pytest.raises(StoreUnavailable):
        await process()
    # The error emptied the pool.
    assert await process() != first


async def test_a_forked_process_makes_a_connection_of_its_own_and_leaves_that_of_its_parent(pool, monkeypatch):
    engine, process = pool
    made = []
    event.listen(engine, "connect", lambda _, record: made.append(record.driver_connection))
    first = await process()
    monkeypatch.setattr(alive, "os", SimpleNamespace(getpid=lambda: 0))
    second = await process()
    assert second != first
    assert await process() == second
    assert len(made) == 2
    is_closed = made[0].is_closed() if hasattr(made[0], "is_closed") else made[0].closed
    assert not is_closed
    closing = made[0].close()
    if isawaitable(closing):
        await closing
