"""Rowspace: documents of a collection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import make_url

from benchmarks.peers.protocol import Row, Search
from rowspace import (
    AsyncDatabase,
    AsyncDocumentRepository,
    CollectionRepository,
    Database,
    DocumentRepository,
    MatrixRepository,
    SearchRepository,
)
from rowspace.migrations import upgrade

NAME = "items"


class Rowspace:
    """One session per call, as in a request."""

    def __init__(self, url: str, dimension: int) -> None:
        self._url = make_url(url)
        self._database = Database.open(url)
        upgrade(self._database.engine)
        with self._database.begin() as session:
            self._collection = CollectionRepository(session).create(NAME, dimension)

    def ingest(self, rows: list[Row]) -> None:
        """Load through the repository."""
        with self._database.begin() as session:
            DocumentRepository(session, self._collection).upsert(
                {"id": row.id, "content": row.text, "meta": {"bucket": row.bucket}, "embedding": row.array}
                for row in rows
            )

    upsert = ingest

    def index(self) -> None:
        """Build the indexes of the collection."""
        with self._database.begin() as session:
            DocumentRepository(session, self._collection).create_indexes()

    def search(self, query: Any) -> list[str]:
        """Search."""
        return self.filtered(query, None)

    def filtered(self, query: Any, bucket: int | None) -> list[str]:
        """Search with a metadata filter."""
        where = None if bucket is None else {"bucket": bucket}
        with self._database.session() as session:
            hits = DocumentRepository(session, self._collection).nearest(query, where=where)
            return [hit.entity.id for hit in hits]

    def batch(self, queries: Any) -> list[list[str]]:
        """Search for all at once."""
        with self._database.session() as session:
            found = SearchRepository(session, self._collection).nearest_many(queries)
            return [[hit.entity.id for hit in hits] for hits in found]

    def export(self) -> Any:
        """Read the matrix."""
        with self._database.session() as session:
            return MatrixRepository(session, self._collection).read().vectors

    async def concurrent(self, run: Callable[[Search], Awaitable[float]]) -> float:
        """Share an `AsyncDatabase` on asyncpg."""
        url = self._url.set(drivername="postgresql+asyncpg")
        async with AsyncDatabase.open(url, pool_size=8, max_overflow=0) as database:

            async def search(query: list[float]) -> Any:
                async with database.session() as session:
                    return await AsyncDocumentRepository(session, self._collection).nearest(query)

            return await run(search)


STORE = Rowspace
