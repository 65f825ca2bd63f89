"""A load that is interrupted as its COPY begins: the server waits for rows by then, and psycopg leaves it at that."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager

import psycopg
import pytest
from sqlalchemy import text

from rowspace import AsyncDatabase, Database
from rowspace.statements.write import Copy
from rowspace.wire.copy import copy_in, copy_in_async

TABLE = text("CREATE TEMPORARY TABLE kept AS SELECT 1 AS x")
COUNT = text("SELECT count(*) FROM kept")
INTO = Copy("kept", None, ("x",))


def test_ctrl_c(new_database, monkeypatch):
    @contextmanager
    def interrupted(cursor, statement):
        cursor.connection.wait(cursor._start_copy_gen(statement, None))
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(psycopg.Cursor, "copy", interrupted)
    with Database.open(new_database()) as database, database.engine.connect() as connection:
        connection.execute(TABLE)
        with pytest.raises(KeyboardInterrupt):
            copy_in(connection, INTO, [])
        assert connection.scalar(COUNT) == 1


async def test_a_cancelled_task(new_database, monkeypatch):
    @asynccontextmanager
    async def interrupted(cursor, statement):
        await cursor.connection.wait(cursor._start_copy_gen(statement, None))
        raise asyncio.CancelledError
        yield

    monkeypatch.setattr(psycopg.AsyncCursor, "copy", interrupted)
    async with AsyncDatabase.open(new_database()) as database, database.engine.connect() as connection:
        await connection.execute(TABLE)
        with pytest.raises(asyncio.CancelledError):
            await copy_in_async(connection, INTO, [])
        assert await connection.scalar(COUNT) == 1
