"""Run a bulk read in a session: the keys of the rows that match, then the COPY."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.errors import mapped_errors
from rowspace.repositories._async.verbatim import run_verbatim
from rowspace.repositories.driver import as_sqlalchemy
from rowspace.repositories.reading import Reading
from rowspace.repositories.subjects import Conditions, Subject
from rowspace.repositories.transactions import may_hide
from rowspace.wire.copy import copy_out_async

__all__ = ["copied"]


@asynccontextmanager
async def copied(
    session: AsyncSession, subject: Subject[Any], conditions: Conditions, reading: Reading
) -> AsyncIterator[AsyncGenerator[Any, None]]:
    """Return a context with an iterator over the parts of a bulk read; the session is busy until the block ends."""
    with mapped_errors():
        # A reader that stops early cancels the COPY, which must not cost the caller the transaction.
        savepoint = await session.begin_nested()
        try:
            async with aclosing(_parts(session, subject, conditions, reading)) as parts:
                yield parts
        finally:
            # Nothing was written but the temporary table, which goes with it.
            await savepoint.rollback()


async def _parts(
    session: AsyncSession, subject: Subject[Any], conditions: Conditions, reading: Reading
) -> AsyncGenerator[Any, None]:
    if may_hide(session, subject.target.model):
        reading = reading.selecting()
    connection = await session.connection(bind_arguments={"mapper": subject.target.model})
    if reading.export.selection is not None:
        await run_verbatim(connection, [reading.export.create_selection()])
        selection, mapped = reading.selection(subject, conditions), {"mapper": subject.target.model}
        # Through the session, for what it lets through.
        rows: int | None = await session.scalar(selection, dict(conditions.parameters), bind_arguments=mapped)
    else:
        rows = None if reading.at_once else await connection.scalar(reading.export.estimate())
    decoder = reading.decoder(rows)
    copy = reading.export.copy()
    with as_sqlalchemy(copy):
        async with aclosing(copy_out_async(connection, copy)) as chunks:
            async for chunk in chunks:
                decoder.feed(chunk)
                if reading.at_once is not None and decoder.pending >= reading.at_once:
                    yield decoder.take()
    yield decoder.take()
