"""COPY OUT on psycopg, many rows at a time, and ending a COPY IN.

The server sends each row as its own message, and psycopg's `Copy` waits for each of them: 2.3 microseconds per row,
more than the server needs for a row of 256 dimensions. This module takes all messages that have arrived at once. Its
generators call libpq, and are run by the `wait` method of a connection. Source: PostgreSQL manual, "Functions
Associated with the COPY Command".
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from psycopg import errors
from psycopg.abc import PQGen
from psycopg.generators import copy_end
from psycopg.pq import DiagnosticField, ExecStatus, TransactionStatus
from psycopg.waiting import Wait

__all__ = ["blocks", "blocks_async", "ended", "ended_async"]

#: The approximate size of a block in bytes. While a block is decoded, the server fills the buffer of the socket, some
#: 200 KiB, and then waits. Decoding a larger block would take longer, and the server would wait longer.
_BLOCK = 1 << 16


def blocks(connection: Any, statement: str) -> Generator[bytes, None, None]:
    """Yield the stream of a COPY statement in blocks of whole messages; the reader may stop early."""
    try:
        connection.wait(_start(connection, statement))
        while block := connection.wait(_block(connection)):
            yield block
    finally:
        if _is_active(connection):
            with _closing_on_error(connection):
                connection.cancel_safe()
                connection.wait(_discard(connection))


async def blocks_async(connection: Any, statement: str) -> AsyncGenerator[bytes, None]:
    """Yield the stream on an async connection; see `blocks`."""
    try:
        await connection.wait(_start(connection, statement))
        while block := await connection.wait(_block(connection)):
            yield block
    finally:
        if _is_active(connection):
            with _closing_on_error(connection):
                await connection.cancel_safe()
                await connection.wait(_discard(connection))


@contextmanager
def ended(connection: Any) -> Iterator[None]:
    """End a COPY IN that is still active after the block.

    If the start of a COPY is interrupted, psycopg leaves it active: the server was asked to cancel, but waits for the
    first row.
    """
    try:
        yield
    finally:
        if _is_active(connection):
            connection.wait(_end(connection))


@asynccontextmanager
async def ended_async(connection: Any) -> AsyncIterator[None]:
    """End a COPY IN on an async connection; see `ended`."""
    try:
        yield
    finally:
        if _is_active(connection):
            await connection.wait(_end(connection))


def _end(connection: Any) -> PQGen[None]:
    with suppress(errors.QueryCanceled):
        # libpq knows the state: the server may not have answered the statement yet, or the end may have been sent.
        result = yield from _result(connection)
        if result is not None and result.status == ExecStatus.COPY_IN:
            yield from copy_end(connection.pgconn, b"interrupted")
        else:
            yield from _finish(connection, result)


@contextmanager
def _closing_on_error(connection: Any) -> Iterator[None]:
    """Close a connection whose COPY is still active: it can neither roll back nor return to the pool."""
    try:
        yield
    except BaseException:
        connection.pgconn.finish()
        raise


def _is_active(connection: Any) -> bool:
    """Return whether the COPY is active."""
    active: bool = connection.pgconn.transaction_status == TransactionStatus.ACTIVE
    return active


def _start(connection: Any, statement: str) -> PQGen[None]:
    connection.pgconn.send_query(statement.encode(connection.info.encoding))
    result = yield from _result(connection)
    if result.status != ExecStatus.COPY_OUT:
        yield from _finish(connection, result)


def _block(connection: Any) -> PQGen[bytes]:
    """Return the next block, or an empty one at the end."""
    messages, size, get = [], 0, connection.pgconn.get_copy_data
    if not _is_active(connection):
        return b""
    while size < _BLOCK:
        length, message = get(1)
        if length > 0:
            messages.append(message)
            size += length
        elif length < 0:
            yield from _finish(connection)
            break
        else:
            yield Wait.R
            connection.pgconn.consume_input()
    return b"".join(messages)


def _discard(connection: Any) -> PQGen[None]:
    """Read a cancelled COPY to its end; the server may not have answered its statement yet."""
    with suppress(errors.QueryCanceled):
        result = yield from _result(connection)
        if result is not None and result.status != ExecStatus.COPY_OUT:
            yield from _finish(connection, result)
        while (yield from _block(connection)):
            pass


def _finish(connection: Any, result: Any = None) -> PQGen[None]:
    """Fetch all results, and raise the error among them, if any."""
    failed = None
    result = result or (yield from _result(connection))
    while result is not None:
        failed = result if result.status == ExecStatus.FATAL_ERROR else failed
        result = yield from _result(connection)
    if failed is not None:
        sqlstate = (failed.error_field(DiagnosticField.SQLSTATE) or b"").decode()
        kind = errors.lookup(sqlstate) if sqlstate else errors.OperationalError
        encoding = connection.info.encoding
        raise kind(failed.get_error_message(encoding), info=failed, encoding=encoding)


def _result(connection: Any) -> PQGen[Any]:
    while connection.pgconn.is_busy():
        yield Wait.R
        connection.pgconn.consume_input()
    return connection.pgconn.get_result()
