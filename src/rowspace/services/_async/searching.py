"""The service for searches and listings: it reads, and each method is one transaction, after the embedder is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.filters import Filter
from rowspace.models import Collection
from rowspace.repositories import (
    AsyncBrowseRepository,
    AsyncCollectionRepository,
    AsyncDocumentRepository,
    AsyncHybridRepository,
    AsyncSearchRepository,
)
from rowspace.services._async.sessions import AsyncSessions, begin
from rowspace.services.embedding import Embedder, aembed_query, check_embedder, checked_embedder
from rowspace.services.html import HtmlList
from rowspace.services.models import DocumentPage, SearchHit, SearchRequest
from rowspace.services.requests import Queries, Query, SearchKeywords, SharedKeywords, request_of, search_options

__all__ = ["AsyncSearchService"]


class AsyncSearchService:
    """Searches and listings of the documents in collections, by name.

    Args:
        sessions: an `AsyncDatabase`, or an `async_sessionmaker` on an engine that `rowspace.wire.instrument` has seen.
        embedder: turns texts into vectors: any LangChain `Embeddings`; an async service runs one without async
            methods in a thread.

    Raises:
        ConfigurationError: the embedder is none.
    """

    def __init__(self, sessions: AsyncSessions, embedder: Embedder | None = None) -> None:
        self._sessions = sessions
        self._embedder = checked_embedder(embedder)

    async def search(self, collection: str, query: Query, **options: Unpack[SearchKeywords]) -> list[SearchHit]:
        """Return the nearest documents to a text or a vector, or those that match a text by keyword; best first.

        Args:
            collection: its name.
            query: a `SearchRequest`; or a text or a vector, with the fields of a `SearchRequest` as keywords.
            options: `k`, `filter`, `mode`, `highlight`, `max_distance`, `min_similarity`, `exact` and the others.

        Raises:
            CollectionNotFound: there is no such collection.
            EmbedderMismatch: the collection was filled by another embedder.
            InvalidVector, DimensionMismatch: the query is no vector, or not of the collection's dimension.
            InvalidFilter: the filter is malformed.
            InvalidSetting: a recall is asked for, and the collection was not tuned, or not to it.
            ModelError: a hosted embedder refused, or is away.
            pydantic.ValidationError: an option that does not exist, is out of range, or does not go with the mode.
        """
        request = request_of(query, options)
        return await self.search_with(collection, request, await query_vector(self._embedder, request))

    async def search_with(self, collection: str, request: SearchRequest, vector: Any) -> list[SearchHit]:
        """Return the same for a request whose text was embedded before: `vector` is what came of it, or None.

        Raises:
            CollectionNotFound, EmbedderMismatch, InvalidFilter: as in `search`.
        """
        async with begin(self._sessions) as session:
            found = await AsyncCollectionRepository(session).get(collection)
            return _numbered(await self._search(session, found, request, vector))

    async def search_many(
        self, collection: str, queries: Queries, **options: Unpack[SharedKeywords]
    ) -> list[list[SearchHit]]:
        """Return the hits of many texts or vectors: one list a query, in their order.

        In mode `vector` they are one statement, as in `AsyncSearchRepository.nearest_many`; in others one each. Texts
        are embedded one by one: embedders have no other way for queries, which some treat unlike documents.

        Args:
            collection: its name.
            queries: texts, vectors, or both.
            options: the fields of a `SearchRequest` but for `text` and `vector`, the same for all of them.

        Raises:
            pydantic.ValidationError: an option that cannot be shared.
            CollectionNotFound, EmbedderMismatch, InvalidFilter: as in `search`.
        """
        requests = [request_of(query, options) for query in queries]
        at_once = bool(requests) and requests[0].mode == "vector"
        vectors = [await query_vector(self._embedder, request) for request in requests]
        async with begin(self._sessions) as session:
            found = await AsyncCollectionRepository(session).get(collection)
            if not at_once:
                each = zip(requests, vectors, strict=True)
                return [_numbered(await self._search(session, found, request, vector)) for request, vector in each]
            if any(request.text is not None for request in requests):
                check_embedder(found, self._embedder)
            shared = search_options(requests[0])
            repository = AsyncSearchRepository(session, found)
            return [_numbered(hits) for hits in await repository.nearest_many(vectors, requests[0].k, **shared)]

    async def scroll(
        self,
        collection: str,
        limit: int = 100,
        *,
        where: Filter | None = None,
        order_by: str | None = None,
        descending: bool = False,
        cursor: str | None = None,
    ) -> DocumentPage:
        """Return a page of documents and the cursor of the next; see `AsyncBrowseRepository.scroll`.

        Args:
            collection: its name.
            limit: documents of a page, at least 1.
            where: a metadata filter; the same for every page.
            order_by: a metadata key; by default the id.
            descending: the largest first.
            cursor: that of the page before; None for the first.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidCursor: the cursor was changed, or belongs to another listing.
            InvalidFilter, InvalidSetting: the filter or key is malformed; the limit is out of range.
        """
        order: dict[str, Any] = {"order_by": order_by, "descending": descending, "cursor": cursor}
        async with begin(self._sessions) as session:
            repository = AsyncBrowseRepository(session, await AsyncCollectionRepository(session).get(collection))
            return DocumentPage.from_page(await repository.scroll(limit, where=where, **order))

    async def _search(
        self, session: AsyncSession, collection: Collection, request: SearchRequest, vector: Any
    ) -> Sequence[Any]:
        options = search_options(request)
        by_text = AsyncHybridRepository(session, collection)
        if request.mode == "text":
            return await by_text.text(request.text or "", request.k, **options)
        if request.vector is None:
            check_embedder(collection, self._embedder)
        if request.mode == "hybrid":
            return await by_text.hybrid(request.text or "", vector, request.k, **options)
        if request.mode == "mmr":
            return await AsyncSearchRepository(session, collection).diverse(vector, request.k, **options)
        return await AsyncDocumentRepository(session, collection).nearest(vector, request.k, **options)


async def query_vector(embedder: Embedder | None, request: SearchRequest) -> Any:
    """Return the vector of a request, before a transaction is open; None where nobody can make it or needs it."""
    if request.vector is not None or request.text is None or request.mode == "text" or embedder is None:
        return request.vector
    return await aembed_query(embedder, request.text)


def _numbered(hits: Sequence[Any]) -> list[SearchHit]:
    return HtmlList([SearchHit.from_hit(rank, hit) for rank, hit in enumerate(hits, 1)])
