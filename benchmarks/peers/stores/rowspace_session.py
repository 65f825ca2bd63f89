"""Rowspace: documents of a collection, searched in one session, as the raw drivers use one connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.peers.protocol import Search, Unsupported
from benchmarks.peers.stores.rowspace_store import Rowspace
from rowspace import DocumentRepository, SearchRepository


class OneSession(Rowspace):
    """A session that stays open between searches, as in a request, a task or a notebook."""

    def index(self) -> None:
        """Build the indexes, and open the session."""
        super().index()
        session = self._database.sessions()
        self._documents = DocumentRepository(session, self._collection)
        self._searches = SearchRepository(session, self._collection)

    def filtered(self, query: Any, bucket: int | None) -> list[str]:
        """Search."""
        hits = self._documents.nearest(query, where=None if bucket is None else {"bucket": bucket})
        return [hit.entity.id for hit in hits]

    def batch(self, queries: Any) -> list[list[str]]:
        """Search for all at once."""
        return [[hit.entity.id for hit in hits] for hits in self._searches.nearest_many(queries)]

    async def concurrent(self, run: Callable[[Search], Awaitable[float]]) -> float:  # noqa: ARG002
        """Raise an error, because tasks need their own sessions."""
        raise Unsupported


STORE = OneSession
