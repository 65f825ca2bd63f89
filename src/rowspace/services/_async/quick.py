"""The most common search in one round trip, for a server that answers many searches per second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import inspect

from rowspace.engine import AsyncDatabase
from rowspace.errors import DimensionMismatch, EmbedderMismatch, TransactionConflict, mapped_errors
from rowspace.models import Collection, Document
from rowspace.repositories.given import is_text
from rowspace.repositories.remembered import WIDE
from rowspace.repositories.subjects import Conditions, Subject, subject_of
from rowspace.services._async.searching import AsyncSearchService, query_vector
from rowspace.services.embedding import Embedder, check_embedder
from rowspace.services.lanes import AsyncLanes
from rowspace.services.models import SearchHit, SearchRequest
from rowspace.services.requests import is_plain
from rowspace.statements.known import NAME, VERSION, nearest_known, nearest_known_of_few, with_version
from rowspace.statements.search import parameters

__all__ = ["AsyncQuickSearch"]

#: The maximum number of cached collections: entries of dropped collections would otherwise stay forever.
_COLLECTIONS = 1_000


@dataclass(frozen=True, slots=True)
class _Known:
    """The cached facts of a collection."""

    collection: Collection
    subject: Subject[Document]
    version: str


class AsyncQuickSearch:
    """Returns the same answers as `AsyncSearchService`, with less overhead for plain searches.

    A plain search orders by distance alone and asks for no more hits than one index scan returns. It is a single
    statement without a transaction, on the driver's own cursor (`rowspace.services.lanes`); so is a search with a
    filter whose equalities match few documents. The collection is cached: the statement itself detects whether it has
    changed, and a search that finds too few hits is run again in full.

    Args:
        database: a database without event hooks on its sessions, such as one that sets a tenant: plain searches bypass
            sessions.
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
        if known is None or not is_plain(request, known.collection):
            return await self._searches.search(collection, request)
        conditions = known.subject.conditions(request.filter)
        if conditions.clauses and not self._may_be_few(known, conditions):
            return await self._searches.search(collection, request)
        try:
            if request.vector is None:
                check_embedder(known.collection, self._embedder)
            vector = await query_vector(self._embedder, request)
            hits = await self._found(known, request.k, vector, conditions)
        except (DimensionMismatch, EmbedderMismatch, TransactionConflict):
            # The error may be due to an outdated entry: the collection was re-embedded or created again, or its table
            # altered.
            self._known.pop(collection, None)
            return await self._searches.search(collection, request)
        return hits or await self._searches.search_with(collection, request, vector)

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
        if len(self._known) >= _COLLECTIONS:
            self._known.clear()
        known = self._known[name] = _Known(collection, subject_of(collection), version)
        return known

    def _may_be_few(self, known: _Known, conditions: Conditions) -> bool:
        if not conditions.few:
            return False
        return not WIDE.get(self._lanes.engine, (known.subject.target, conditions.few_by))

    async def _found(self, known: _Known, k: int, vector: Any, conditions: Conditions) -> list[SearchHit]:
        """Return the hits, or none if they may be incomplete."""
        target = known.subject.target
        values = {**parameters(vector), **conditions.parameters, NAME: known.collection.name, VERSION: known.version}
        few = conditions.few
        statement = nearest_known_of_few(target, k, *few) if few else nearest_known(target, k)
        with mapped_errors():
            rows = await self._lanes.fetch(statement, values)
        if len(rows) < (1 if few else k):
            # The collection may have changed, or it has fewer documents.
            self._known.pop(known.collection.name, None)
            return []
        if few and rows[0][0]:
            WIDE.keep(self._lanes.engine, (target, conditions.few_by), value=True)
            return []
        return SearchHit.from_rows([row[1:] for row in rows] if few else rows, target.distance)
