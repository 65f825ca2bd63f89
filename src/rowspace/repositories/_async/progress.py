"""The repository of how far resumable loads have come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.errors import TransactionConflict, mapped_errors
from rowspace.models import Collection, LoadProgress
from rowspace.repositories.given import at_hand, session_of

__all__ = ["AsyncProgressRepository"]


class AsyncProgressRepository:
    """The progress of loads into one collection, in the caller's session and transaction.

    Args:
        session: a SQLAlchemy async session.
        collection: the collection that is loaded.
    """

    def __init__(self, session: AsyncSession, collection: Collection) -> None:
        self.session: AsyncSession = session_of(session, AsyncSession)
        self.collection = collection

    async def get(self, key: str, *, for_update: bool = False) -> LoadProgress | None:
        """Return the progress of the interrupted load with a key, or None."""
        with mapped_errors():
            # Not False, which would ignore the object in the session.
            lock = for_update or None
            return await self.session.get(LoadProgress, (self._collection.id, key), with_for_update=lock)

    async def record(self, key: str, before: str, after: str, state: Mapping[str, Any]) -> None:
        """Record that a load has progressed from one digest to the next, if the transaction is committed.

        Raises:
            TransactionConflict: the load is not where it was left: another one of the same key is running.
        """
        found = await self.get(key, for_update=True)
        if (found.digest if found is not None else "") != before:
            message = f"Another load of {key!r} into {self._collection.name!r} is running. Wait for it to finish."
            raise TransactionConflict(message)
        if found is None:
            found = LoadProgress(collection_id=self._collection.id, key=key)
            self.session.add(found)
        found.digest, found.state = after, dict(state)
        with mapped_errors():
            await self.session.flush()

    async def forget(self, key: str) -> None:
        """Delete the progress of a load, so that the next one starts at the first row."""
        found = await self.get(key)
        if found is not None:
            with mapped_errors():
                await self.session.delete(found)
                await self.session.flush()

    @property
    def _collection(self) -> Collection:
        return at_hand(self.collection)
