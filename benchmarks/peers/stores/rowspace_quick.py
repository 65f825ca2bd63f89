"""Rowspace: documents of a collection, searched as in `rowspace serve`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.peers.protocol import Search
from benchmarks.peers.stores.rowspace_store import NAME, Rowspace
from rowspace import AsyncDatabase
from rowspace.services import AsyncQuickSearch, QuickSearch, SearchRequest


class Quick(Rowspace):
    """One statement per call, without a transaction. The results are pydantic models."""

    def index(self) -> None:
        """Build the indexes, and prepare to search."""
        super().index()
        self._quick = QuickSearch(self._database)

    def filtered(self, query: Any, bucket: int | None) -> list[str]:
        """Search."""
        given = None if bucket is None else {"bucket": bucket}
        hits = self._quick.search(NAME, SearchRequest(vector=query, filter=given))
        return [hit.id for hit in hits]

    async def concurrent(self, run: Callable[[Search], Awaitable[float]]) -> float:
        """Share an `AsyncQuickSearch` on asyncpg."""
        url = self._url.set(drivername="postgresql+asyncpg")
        async with AsyncDatabase.open(url, pool_size=8, max_overflow=0) as database:
            quick = AsyncQuickSearch(database)

            async def search(query: list[float]) -> Any:
                return await quick.search(NAME, SearchRequest(vector=query))

            return await run(search)


STORE = Quick
