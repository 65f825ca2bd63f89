"""Raise an error instead of returning no hits if the collection of a search was dropped."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.errors import CollectionNotFound, mapped_errors
from rowspace.models import Collection, Document
from rowspace.repositories.schemas import partition_of, schemas_of
from rowspace.repositories.searches import Search
from rowspace.statements.catalog import is_there

__all__ = ["refuse_dropped", "refuse_dropped_under"]


async def refuse_dropped_under(session: AsyncSession, search: Search[Any]) -> None:
    """Refuse the collection of a search that found nothing; see `refuse_dropped`.

    A search under conditions is let be: it is expected to find nothing at times, and is not made dearer then.
    """
    if not search.is_limited:
        await refuse_dropped(session, search.collection)


async def refuse_dropped(session: AsyncSession, collection: Collection | None) -> None:
    """Refuse a collection that was dropped after it was looked up; does nothing for a model.

    By its table: the role that searches need not be able to read the row. Costs a catalog query.

    Raises:
        CollectionNotFound: it was dropped.
    """
    if collection is None:
        return
    with mapped_errors():
        connection = await session.connection(bind_arguments={"mapper": Document})
        if await connection.scalar(is_there(partition_of(collection, schemas_of(connection)).qualified)):
            return
    raise CollectionNotFound.dropped(collection.name)
