"""The commonest search in one round trip, for a server that has many of them a second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import inspect

from rowspace.engine import AsyncDatabase
from rowspace.errors import mapped_errors
from rowspace.models import Collection, Document
from rowspace.repositories.given import is_text
from rowspace.services._async.searching import AsyncSearchService, query_vector
from rowspace.services.embedding import Embedder, check_embedder
from rowspace.services.lanes import AsyncLanes
from rowspace.services.models import SearchHit, SearchRequest
from rowspace.services.requests import is_plain
from rowspace.statements.documents import target_of
from rowspace.statements.known import NAME, VERSION, nearest_known, with_version
from rowspace.statements.search import Target, parameters

__all__ = ["AsyncQuickSearch"]


@dataclass(frozen=True, slots=True)
class _Known:
    """A collection as it was when it was looked up."""

    collection: Collection
    target: Target[Document]
    version: str


class AsyncQuickSearch:
    """Searches as `AsyncSearchService` does, with the same answers, and plain ones with less ado.

    A plain search, by distance alone and for no more hits than an index scan gives, is one statement without a
    transaction, on the driver's own cursor (`rowspace.services.direct`). The collection is remembered; the statement
    itself finds out whether it was changed since, and whatever comes back short is searched again in full.

    Args:
        database: one without hooks of its own on sessions, such as those that name a tenant: plain searches have none.
        embedder: as in `AsyncSearchService`.
    """

    def __init__(self, database: AsyncDatabase, embedder: Embedder | None = None) -> None:
        self._lanes = AsyncLanes(database.engine)
        self._embedder = embedder
        self._searches = AsyncSearchService(database, embedder)
        self._known: dict[str, _Known] = {}

    async def search(self, collection: str, request: SearchRequest) -> list[SearchHit]:
        """Return what `AsyncSearchService.search` returns, and raise what it raises."""
        known = self._known.get(collection) or await self._look_up(collection)
        if known is not None and is_plain(request, known.collection):
            if request.vector is None:
                check_embedder(known.collection, self._embedder)
            vector = await query_vector(self._embedder, request)
            hits = await self._nearest(known, request.k, vector)
            if len(hits) == request.k:
                return hits
            # It may have been changed, or it has fewer documents.
            self._known.pop(collection, None)
            return await self._searches.search_with(collection, request, vector)
        return await self._searches.search(collection, request)

    async def _look_up(self, name: str) -> _Known | None:
        if not is_text(name):
            return None
        with mapped_errors():
            rows = await self._lanes.fetch(with_version(), {NAME: name})
        if not rows:
            return None
        *columns, version = rows[0]
        keys = [attribute.key for attribute in inspect(Collection).column_attrs]
        collection = Collection(**dict(zip(keys, columns, strict=True)))
        known = self._known[name] = _Known(collection, target_of(collection), version)
        return known

    async def _nearest(self, known: _Known, k: int, vector: Any) -> list[SearchHit]:
        values = {**parameters(vector), NAME: known.collection.name, VERSION: known.version}
        with mapped_errors():
            rows = await self._lanes.fetch(nearest_known(known.target, k), values)
        return SearchHit.from_rows(rows, known.target.distance)
