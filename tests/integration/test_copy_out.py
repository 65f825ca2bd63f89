"""COPY out of the async drivers and psycopg: errors, early ends, odd names, and a connection that is usable after."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import make_url, text

from rowspace import AsyncDatabase, Database
from rowspace.wire.copy import copy_out, copy_out_async

MANY = "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 5000)) TO STDOUT (FORMAT BINARY)"
FAILS = "COPY (SELECT 1 / (3000 - x), repeat('x', 1000) FROM generate_series(1, 5000) x) TO STDOUT (FORMAT BINARY)"
BYTES = 5000 * (2 + 4 + 1000) + 19 + 2


@pytest.fixture
def connection(new_database):
    with Database.open(new_database()) as database, database.engine.connect() as opened:
        opened.execute(text("SELECT 1"))
        yield opened


@pytest.fixture(params=["psycopg", "asyncpg"])
async def aconnection(request, new_database):
    url = make_url(new_database()).set(drivername=f"postgresql+{request.param}")
    async with AsyncDatabase.open(url) as database, database.engine.connect() as opened:
        await opened.execute(text("SELECT 1"))
        yield opened


def test_all_of_a_stream(connection):
    assert sum(map(len, copy_out(connection, MANY))) == BYTES
    assert connection.scalar(text("SELECT 2")) == 2


@pytest.mark.parametrize(("statement", "sqlstate"), [(FAILS, "22012"), (MANY.replace("repeat", "reheat"), "42883")])
def test_an_error_of_the_servers(connection, statement, sqlstate):
    with connection.begin_nested() as savepoint:
        with pytest.raises(Exception, match=r"division by zero|reheat") as caught:
            list(copy_out(connection, statement))
        savepoint.rollback()
    assert caught.value.sqlstate == caught.value.diag.sqlstate == sqlstate
    assert connection.scalar(text("SELECT 2")) == 2


def test_a_reader_that_stops(connection):
    with connection.begin_nested() as savepoint:
        stream = copy_out(connection, MANY)
        assert next(stream).startswith(b"PGCOPY")
        stream.close()
        savepoint.rollback()
    assert connection.scalar(text("SELECT 2")) == 2


def test_names_that_are_not_ascii(connection):
    connection.execute(text('CREATE TEMPORARY TABLE "Bücher 本" (x int)'))
    [block] = copy_out(connection, 'COPY "Bücher 本" TO STDOUT (FORMAT BINARY)')
    assert len(block) == 21


async def test_all_of_an_async_stream(aconnection):
    assert sum([len(block) async for block in copy_out_async(aconnection, MANY)]) == BYTES
    assert await aconnection.scalar(text("SELECT 2")) == 2


async def test_an_async_error_of_the_servers(aconnection):
    async with aconnection.begin_nested() as savepoint:
        with pytest.raises(Exception, match="division by zero"):
            [block async for block in copy_out_async(aconnection, FAILS)]
        await savepoint.rollback()
    assert await aconnection.scalar(text("SELECT 2")) == 2


async def test_a_cancelled_task(aconnection):
    slow = "COPY (SELECT pg_sleep(60)) TO STDOUT (FORMAT BINARY)"

    async def read():
        return [block async for block in copy_out_async(aconnection, slow)]

    async with aconnection.begin_nested() as savepoint:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read(), 0.3)
        await savepoint.rollback()
    assert await aconnection.scalar(text("SELECT 2")) == 2


async def test_async_readers_that_stop(aconnection):
    for _ in range(30):
        async with aconnection.begin_nested() as savepoint:
            stream = copy_out_async(aconnection, MANY.replace("5000", "50000"))
            assert (await anext(stream)).startswith(b"PGCOPY")
            await stream.aclose()
            await savepoint.rollback()
        assert await aconnection.scalar(text("SELECT 2")) == 2
