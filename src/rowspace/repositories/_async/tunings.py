"""The tuning of a model's index: kept in the index's comment, and read when a search first needs it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from rowspace.errors import PermissionDenied, mapped_errors
from rowspace.repositories.remembered import TUNINGS
from rowspace.repositories.subjects import Subject
from rowspace.repositories.targets import table_of
from rowspace.repositories.transactions import transaction_of
from rowspace.statements import tunings as statements
from rowspace.statements.catalog import IndexFact
from rowspace.tuning import Tuning

__all__ = ["check_may_keep", "keep_tuning", "with_tuning"]

M = TypeVar("M")

#: The key in `Session.info` for the transaction that has tuned an index.
_KEY = "rowspace_tuned"


async def with_tuning(session: AsyncSession, subject: Subject[M]) -> Subject[M]:
    """Return a model's subject with the tuning of its index; a collection already contains it.

    Costs a catalog query once a minute for a model and a pool of connections.
    """
    if subject.collection is not None:
        return subject
    bind, table = await _bound(session, subject)
    found = TUNINGS.get(bind, table)
    if found is None:
        with mapped_errors():
            found = statements.tunings_in(await bind.scalars(statements.comments(*table)))
        measuring = session.info.get(_KEY)
        # The tunings that this transaction reads are lost if it is rolled back.
        if measuring is None or measuring is not transaction_of(session):
            TUNINGS.keep(bind, table, found)
    measured = found.get((subject.target.column, subject.target.distance))
    return subject if measured is None else replace(subject, measured=measured)


async def check_may_keep(session: AsyncSession, subject: Subject[Any], index: IndexFact) -> None:
    """Raise if the tuning of a model's index cannot be stored in its comment.

    Raises:
        PermissionDenied: the role does not own the index, or the transaction may only read.
    """
    bind, _ = await _bound(session, subject)
    if not await bind.scalar(statements.may_comment_on(index.name, index.schema)):
        message = (
            f"The tuning is stored in the comment of the index {index.name}, which only its owner can set. This role "
            "is not the owner, the server is a standby, or the transaction is read-only."
        )
        raise PermissionDenied(message)


async def keep_tuning(session: AsyncSession, subject: Subject[Any], index: IndexFact, tuning: Tuning) -> None:
    """Store the tuning of a model's index in its comment."""
    target = subject.target
    bind, table = await _bound(session, subject)
    with mapped_errors():
        comment = await bind.scalar(statements.comment_of(index.name, index.schema))
        kept = statements.with_tuning(comment, tuning, column=target.column, distance=target.distance.value)
        await bind.execute(statements.comment_on(index.name, index.schema, kept))
    session.info[_KEY] = transaction_of(session)
    TUNINGS.forget(bind, table)


async def _bound(session: AsyncSession, subject: Subject[Any]) -> tuple[AsyncConnection, tuple[str, str | None]]:
    """Return the connection or session for a model's statements, and the table that they use there."""
    with mapped_errors():
        # Not the bind: options of a transaction or a session are only on its connection.
        connection = await session.connection(bind_arguments={"mapper": subject.target.model})
    return connection, table_of(subject.target, None, connection)
