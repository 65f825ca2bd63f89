"""COPY binary streams into a table and out of a query, with the interface of each driver.

These functions use the driver's connection inside the transaction of SQLAlchemy: call them after a statement of that
transaction.

Text in the stream is UTF-8. The server uses the client encoding in binary streams too. If that is not UTF-8, which is
the default in a LATIN1 database, it is set to UTF8 until the savepoint ends.
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
from rowspace.wire.alive import beside_sqlalchemy
from rowspace.wire.asyncpg import as_parameters
from rowspace.wire.encode import EncodedRows
from rowspace.wire.instrument import is_ready
from rowspace.wire.interrupted import interruptible, interruptible_async
from rowspace.wire.psycopg import AsyncWireCursor, WireCursor, WireValue

__all__ = ["copy_in", "copy_in_async", "copy_out", "copy_out_async", "given_values", "takes_values"]

_CHUNK = 1 << 20

_UTF8 = "UTF8"
#: PgBouncer reports the encoding as the client requested it, in any spelling.
_SPELLED = re.compile(r"utf-?8|unicode", re.IGNORECASE)


def takes_values(connection: Connection | AsyncConnection) -> bool:
    """Return whether a connection in a transaction also accepts the values of `EncodedRows` as parameters.

    It does on psycopg and asyncpg with our adapters. On psycopg, it must use UTF-8 and our cursor class: a
    `ClientCursor`, for example, writes the values into the statement as text.
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
    """Return the values of some rows as parameters, row by row; None if they exceed `most` bytes.

    Args:
        connection: a connection that accepts values.
        data: the rows.
        ddl: the type of each of their columns.
        most: maximum number of bytes.
    """
    values = data.values(most)
    if values is None:
        return None
    if connection.dialect.driver == "asyncpg":
        return as_parameters(values, ddl)
    # The text form is only needed in arrays, of which there are none here.
    return tuple(None if value is None else WireValue(value, str) for value in values)


def copy_in(connection: Connection, into: Copy, blocks: Iterable[bytes]) -> None:
    """Copy a binary stream into a table, on psycopg or psycopg2, within a savepoint.

    An error, because a row cannot be encoded or the server refuses it, leaves the transaction usable.
    """
    with interruptible(connection.begin_nested()):
        driver: Any = connection.connection.driver_connection
        before = _encoding(driver)
        if before != _UTF8:
            connection.exec_driver_sql(_speak(_UTF8))
        with beside_sqlalchemy(connection):
            _send(driver, into, blocks)
        if before != _UTF8:
            connection.exec_driver_sql(_speak(before))


def _send(driver: Any, into: Copy, blocks: Iterable[bytes]) -> None:
    with driver.cursor() as cursor:
        if hasattr(cursor, "copy_expert"):
            # As bytes: psycopg2 does not notice an encoding that a statement sets.
            cursor.copy_expert(into.statement().encode(), io.BytesIO(b"".join(blocks)))
            return
        from rowspace.wire.messages import ended

        with ended(driver), cursor.copy(into.statement()) as copy:
            for block in blocks:
                copy.write(block)


async def copy_in_async(connection: AsyncConnection, into: Copy, blocks: Iterable[bytes]) -> None:
    """Copy a binary stream into a table, on psycopg or asyncpg, within a savepoint; see `copy_in`."""
    async with interruptible_async(connection.begin_nested()):
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        before = _encoding(driver)
        if before != _UTF8:
            await connection.exec_driver_sql(_speak(_UTF8))
        with beside_sqlalchemy(connection):
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
    """Return the client encoding that the server has reported, without a round trip."""
    if hasattr(driver, "get_settings"):
        # asyncpg always uses UTF-8. Through PgBouncer, it reports its own spelling of the name.
        return _UTF8
    if hasattr(driver, "get_parameter_status"):
        reported = str(driver.get_parameter_status("client_encoding"))  # psycopg2
    else:
        reported = str(driver.info.parameter_status("client_encoding"))
    return _UTF8 if _SPELLED.fullmatch(reported) else reported


def _speak(encoding: str) -> str:
    return f"SET LOCAL client_encoding = '{encoding}'"


async def _awaited(blocks: Iterable[bytes]) -> AsyncGenerator[bytes, None]:
    # In pieces: for a message of 1 GB, the server closes the connection, and asyncpg would wait forever.
    for block in blocks:
        for start in range(0, len(block), _CHUNK):
            yield block[start : start + _CHUNK]


def copy_out(connection: Connection, statement: str) -> Generator[bytes, None, None]:
    """Yield the chunks of a `COPY ... TO STDOUT (FORMAT BINARY)` statement, on psycopg or psycopg2.

    Call it within a savepoint and roll that back afterwards, because it may set the client encoding.
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
    # psycopg2 pushes the data instead of letting us pull it: a large result goes to a temporary file.
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
    try:
        async with aclosing(_chunks(driver, statement)) as chunks:
            async for chunk in chunks:
                yield chunk
    finally:
        if raw.is_valid and _is_closed(driver):
            # So that the pool does not reuse it.
            raw.invalidate(soft=True)


def _is_closed(driver: Any) -> bool:
    return bool(driver.is_closed() if hasattr(driver, "is_closed") else driver.closed)


def _chunks(driver: Any, statement: str) -> AsyncGenerator[bytes, None]:
    if hasattr(driver, "copy_from_query"):
        return _pulled(driver, statement)
    from rowspace.wire.messages import blocks_async

    return blocks_async(driver, statement)


async def _pulled(driver: Any, statement: str) -> AsyncGenerator[bytes, None]:
    """Pull chunks from asyncpg, which pushes them: a short queue stops it until the next chunk is read."""
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
        # If the reader stops early, the COPY is still running, and must end before the connection is used again.
        read_on = False
        await _stopped(driver, task, queue)


async def _stopped(driver: Any, task: asyncio.Task[None], queue: asyncio.Queue[Any]) -> None:
    """End a COPY of asyncpg whose remaining chunks are not wanted.

    It is cancelled on the server, which ends it with an error. If asyncpg itself were stopped, for example by an error
    in the consumer, it would treat the next chunk as the end, and the connection would be busy at the next statement.
    """
    while not queue.empty():
        queue.get_nowait()
    try:
        if not task.done():
            # In a separate task: asyncpg would swallow a cancellation of this one.
            asked = driver._cancel(asyncio.get_running_loop().create_future())  # noqa: SLF001 -- there is no other way
            await asyncio.wait({asyncio.create_task(asked)})
        await asyncio.wait({task})
    except BaseException:
        # Cancelled again, or the server is gone.
        driver.terminate()
        raise
