"""Run a bulk read in a session: the keys of the rows that match, then the COPY."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.errors import ConfigurationError, mapped_errors
from rowspace.repositories._async.policies import under_policies
from rowspace.repositories._async.verbatim import run_verbatim
from rowspace.repositories.driver import as_sqlalchemy
from rowspace.repositories.reading import Reading
from rowspace.repositories.schemas import is_endless, schemas_of
from rowspace.repositories.subjects import Conditions, Subject, Where
from rowspace.repositories.transactions import ENDED, may_hide, transaction_of
from rowspace.wire.copy import copy_out_async
from rowspace.wire.interrupted import interruptible_async

__all__ = ["copied"]

#: The number of bytes per part of a stream.
_PART = 4 << 20


@asynccontextmanager
async def copied(
    session: AsyncSession,
    subject: Subject[Any],
    where: Where | None,
    plan: Callable[..., Reading],
    *,
    at_once: int | None = _PART,
) -> AsyncIterator[AsyncGenerator[Any, None]]:
    """Return a context with an iterator over the parts of a bulk read; the session is busy until the block ends.

    Args:
        session: the caller's.
        subject: what is read.
        where: which rows.
        plan: `plan_reading` or `plan_columns`.
        at_once: bytes of a part; None makes one of everything.
    """
    conditions, model = subject.conditions(where), subject.target.model
    with mapped_errors():
        schemas = schemas_of(await session.connection(bind_arguments={"mapper": model}))
        selects = bool(conditions.clauses) or may_hide(session, model)
        reading = plan(await under_policies(session, subject), schemas, selects=selects)
        # A reader that stops early cancels the COPY, which must not abort the caller's transaction.
        async with (
            interruptible_async(_undone(session)),
            aclosing(_parts(session, subject, conditions, reading, at_once=at_once)) as parts,
        ):
            yield parts


@asynccontextmanager
async def _undone(session: AsyncSession) -> AsyncIterator[None]:
    """Run the block in a savepoint and roll it back: the block writes only the temporary table of a selection."""
    savepoint = await session.begin_nested()
    begun = transaction_of(session)
    try:
        yield
    finally:
        # If the transaction has ended, there is nothing to roll back.
        if transaction_of(session) is begun:
            await savepoint.rollback()


async def _parts(
    session: AsyncSession, subject: Subject[Any], conditions: Conditions, reading: Reading, *, at_once: int | None
) -> AsyncGenerator[Any, None]:
    mapped, export = {"mapper": subject.target.model}, reading.export
    connection = await session.connection(bind_arguments=mapped)
    if export.selection is not None:
        await run_verbatim(connection, [export.create_selection()])
        selection = reading.selection(subject, conditions)
        # Through the session, so that its rules apply.
        rows: int | None = await session.scalar(selection, dict(conditions.parameters), bind_arguments=mapped)
    else:
        rows = None if at_once else await connection.scalar(export.estimate())
    decoder = reading.decoder(rows, at_once, endless=is_endless(connection))
    copy, begun = export.copy(), transaction_of(session)
    try:
        with as_sqlalchemy(copy):
            async with aclosing(copy_out_async(connection, copy)) as chunks:
                async for chunk in chunks:
                    decoder.feed(chunk)
                    if at_once is not None and decoder.pending >= at_once:
                        yield decoder.take()
    except Exception as error:
        if transaction_of(session) is begun:
            raise
        raise ConfigurationError(ENDED) from error
    yield decoder.take()
