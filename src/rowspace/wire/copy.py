"""COPY binary streams into a table and out of a query, through each driver's own way.

These functions are the only place that touches a driver's connection for it. They run inside the transaction that
SQLAlchemy has begun on the connection: call them after a statement of that transaction.

Text is UTF-8 in the stream. The server reads and writes it in the encoding of the client, in binary too: where that is
another, as it is by default in a database of LATIN1, it is UTF8 until the savepoint ends.
"""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncGenerator, Generator, Iterable, Sequence
from contextlib import aclosing
from tempfile import SpooledTemporaryFile
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from rowspace.statements.write import Copy
from rowspace.wire.asyncpg import as_parameters
from rowspace.wire.encode import EncodedRows
from rowspace.wire.instrument import is_ready
from rowspace.wire.psycopg import AsyncWireCursor, WireCursor, WireValue

__all__ = ["copy_in", "copy_in_async", "copy_out", "copy_out_async", "given_values", "takes_values"]

_CHUNK = 1 << 20

_UTF8 = "UTF8"
#: As PgBouncer reports it, which repeats what was asked for.
_SPELLED = re.compile(r"utf-?8|unicode", re.IGNORECASE)


def takes_values(connection: Connection | AsyncConnection) -> bool:
    """Tell whether a connection takes the values of `EncodedRows` as parameters too, in a transaction.

    One of psycopg or asyncpg does that has our adapters; on psycopg while it speaks UTF-8, and by cursors that are not
    somebody's own: a `ClientCursor` writes the values into the statement, as text.
    """
    inner: Any = getattr(connection, "sync_connection", connection)
    if not is_ready(inner) or inner.connection.dbapi_connection.autocommit:
        return False
    driver = inner.connection.driver_connection
    if connection.dialect.driver == "asyncpg":
        return True
    return driver.cursor_factory in {WireCursor, AsyncWireCursor} and _encoding(driver) == _UTF8


def given_values(
    connection: Connection | AsyncConnection, data: EncodedRows, ddl: Sequence[str], most: int
) -> tuple[Any, ...] | None:
    """Return the values of some rows as parameters, row by row; None where they have more than `most` bytes.

    Args:
        connection: one that takes values.
        data: the rows.
        ddl: the type of each of their columns.
        most: bytes.
    """
    values = data.values(most)
    if values is None:
        return None
    if connection.dialect.driver == "asyncpg":
        return as_parameters(values, ddl)
    # The text is for arrays, and here are none.
    return tuple(None if value is None else WireValue(value, str) for value in values)


def copy_in(connection: Connection, into: Copy, blocks: Iterable[bytes]) -> None:
    """Copy a binary stream into a table, on psycopg or psycopg2, within a savepoint.

    What stops it, a row that cannot be encoded or one that the server refuses, leaves the transaction usable.
    """
    with connection.begin_nested():
        driver: Any = connection.connection.driver_connection
        before = _encoding(driver)
        if before != _UTF8:
            connection.exec_driver_sql(_speak(_UTF8))
        _send(driver, into, blocks)
        if before != _UTF8:
            connection.exec_driver_sql(_speak(before))


def _send(driver: Any, into: Copy, blocks: Iterable[bytes]) -> None:
    with driver.cursor() as cursor:
        if hasattr(cursor, "copy_expert"):
            # As bytes: psycopg2 does not learn of an encoding that a statement sets.
            cursor.copy_expert(into.statement().encode(), io.BytesIO(b"".join(blocks)))
            return
        from rowspace.wire.messages import ended

        with ended(driver), cursor.copy(into.statement()) as copy:
            for block in blocks:
                copy.write(block)


async def copy_in_async(connection: AsyncConnection, into: Copy, blocks: Iterable[bytes]) -> None:
    """Copy a binary stream into a table, on psycopg or asyncpg, within a savepoint; see `copy_in`."""
    async with connection.begin_nested():
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        before = _encoding(driver)
        if before != _UTF8:
            await connection.exec_driver_sql(_speak(_UTF8))
        await _send_async(driver, into, blocks)
        if before != _UTF8:
            await connection.exec_driver_sql(_speak(before))


async def _send_async(driver: Any, into: Copy, blocks: Iterable[bytes]) -> None:
    if hasattr(driver, "copy_to_table"):
        await driver.copy_to_table(
            into.table, schema_name=into.schema, columns=into.columns, source=_awaited(blocks), format="binary"
        )
        return
    from rowspace.wire.messages import ended_async

    async with driver.cursor() as cursor, ended_async(driver), cursor.copy(into.statement()) as copy:
        for block in blocks:
            await copy.write(block)


def _encoding(driver: Any) -> str:
    """Return the encoding of the client, which the server has reported: asking costs nothing."""
    if hasattr(driver, "get_settings"):
        # asyncpg knows no other; what it reports is what it asked for in its own words, where PgBouncer is in between.
        return _UTF8
    if hasattr(driver, "get_parameter_status"):
        reported = str(driver.get_parameter_status("client_encoding"))  # psycopg2
    else:
        reported = str(driver.info.parameter_status("client_encoding"))
    return _UTF8 if _SPELLED.fullmatch(reported) else reported


def _speak(encoding: str) -> str:
    return f"SET LOCAL client_encoding = '{encoding}'"


async def _awaited(blocks: Iterable[bytes]) -> AsyncGenerator[bytes, None]:
    for block in blocks:
        yield block


def copy_out(connection: Connection, statement: str) -> Generator[bytes, None, None]:
    """Yield the chunks of a `COPY ... TO STDOUT (FORMAT BINARY)` statement, on psycopg or psycopg2.

    Call it within a savepoint that is rolled back afterwards: it may have set the encoding of the client.
    """
    driver: Any = connection.connection.driver_connection
    if _encoding(driver) != _UTF8:
        connection.exec_driver_sql(_speak(_UTF8))
    if not hasattr(driver, "pgconn"):
        yield from _spooled(driver, statement)
        return
    from rowspace.wire.messages import blocks

    yield from blocks(driver, statement)


def _spooled(driver: Any, statement: str) -> Generator[bytes, None, None]:
    # psycopg2 pushes where the others are pulled: what does not fit in memory goes to a file.
    with driver.cursor() as cursor, SpooledTemporaryFile(max_size=64 * _CHUNK) as spool:
        cursor.copy_expert(statement.encode(), spool)
        spool.seek(0)
        yield from iter(lambda: spool.read(_CHUNK), b"")


async def copy_out_async(connection: AsyncConnection, statement: str) -> AsyncGenerator[bytes, None]:
    """Yield the chunks of a `COPY ... TO STDOUT (FORMAT BINARY)` statement, on psycopg or asyncpg; see `copy_out`."""
    raw = await connection.get_raw_connection()
    driver: Any = raw.driver_connection
    if _encoding(driver) != _UTF8:
        await connection.exec_driver_sql(_speak(_UTF8))
    async with aclosing(_chunks(driver, statement)) as chunks:
        async for chunk in chunks:
            yield chunk


def _chunks(driver: Any, statement: str) -> AsyncGenerator[bytes, None]:
    if hasattr(driver, "copy_from_query"):
        return _pulled(driver, statement)
    from rowspace.wire.messages import blocks_async

    return blocks_async(driver, statement)


async def _pulled(driver: Any, statement: str) -> AsyncGenerator[bytes, None]:
    """Pull from asyncpg, which pushes: a queue of a few chunks holds it back while nobody reads."""
    queue: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(maxsize=4)
    query = statement.removeprefix("COPY (").removesuffix(") TO STDOUT (FORMAT BINARY)")
    read_on = True

    async def take(chunk: bytes | Exception | None) -> None:
        if read_on:
            await queue.put(chunk)

    async def push() -> None:
        try:
            await driver.copy_from_query(query, output=take, format="binary")
        except Exception as error:  # noqa: BLE001 -- raised again by the reader
            await take(error)
        else:
            await take(None)

    task = asyncio.create_task(push())
    try:
        while (chunk := await queue.get()) is not None:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk
    finally:
        # A reader that stops early leaves the COPY running: it has to end before the connection is used again.
        read_on = False
        await _stopped(driver, task, queue)


async def _stopped(driver: Any, task: asyncio.Task[None], queue: asyncio.Queue[Any]) -> None:
    """End a COPY of asyncpg's whose chunks nobody takes any more.

    By the server, which ends it with an error. Where asyncpg is stopped, as by an error of what takes its chunks, it
    thinks the next chunk to be the end, and the next statement finds the connection busy.
    """
    while not queue.empty():
        queue.get_nowait()
    try:
        if not task.done():
            await driver._cancel(asyncio.get_running_loop().create_future())  # noqa: SLF001 -- there is no other way
        await asyncio.wait({task})
    except BaseException:
        # Cancelled once more, or the server is away.
        driver.terminate()
        raise
