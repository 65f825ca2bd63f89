"""Row-level security of `documents`, for what goes by COPY to the partition of a collection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.errors import mapped_errors
from rowspace.models import Document
from rowspace.repositories.schemas import schema_in, schemas_of
from rowspace.repositories.subjects import Subject
from rowspace.statements.admin import Partition
from rowspace.statements.catalog import has_policies, is_guarded
from rowspace.statements.identifiers import qualified

__all__ = ["guards_of", "under_policies"]


async def guards_of(session: AsyncSession, partition: Partition) -> list[str]:
    """Return the statements that deny direct access to a new partition, which would bypass policies of `documents`.

    None where that has no row-level security. With it, and without policies of its own, a partition is closed to all
    but its owner. Costs a catalog query.
    """
    documents = qualified(Document.__tablename__, partition.schema)
    bind = {"mapper": Document}
    return [partition.guard()] if await session.scalar(is_guarded(documents), bind_arguments=bind) else []


async def under_policies(session: AsyncSession, subject: Subject[Any]) -> Subject[Any]:
    """Return a subject whose bulk writes and reads obey the policies of `documents`.

    The server looks at the policies of the table that a statement names: named by itself, a partition is under none of
    these (PostgreSQL's manual, "Row Security Policies"). Where they bind the role, the statement names `documents`.
    Costs a catalog query; of a model nothing is asked.
    """
    if subject.collection is None:
        return subject
    model = subject.target.model
    with mapped_errors():
        connection = await session.connection(bind_arguments={"mapper": model})
        table = qualified(model.__tablename__, schema_in(schemas_of(connection), model.__table__))
        return replace(subject, through=bool(await connection.scalar(has_policies(table))))
