"""The service for searches and listings: each method runs one read transaction, after the embedder is done."""

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
        sessions: an `AsyncDatabase`, or an `async_sessionmaker` on an engine passed to `rowspace.wire.instrument`.
        embedder: turns texts into vectors: any LangChain `Embeddings`. An async service runs an embedder without async
            methods in a thread.

    Raises:
        ConfigurationError: the embedder lacks the methods of one.
    """

    def __init__(self, sessions: AsyncSessions, embedder: Embedder | None = None) -> None:
        self._sessions = sessions
        self._embedder = checked_embedder(embedder)

    async def search(self, collection: str, query: Query, **options: Unpack[SearchKeywords]) -> list[SearchHit]:
        """Return the documents nearest to a text or a vector, or those that match a text by keyword; best first.

        Args:
            collection: its name.
            query: a `SearchRequest`, or a text or a vector with the fields of a `SearchRequest` as keywords.
            options: `k`, `filter`, `mode`, `highlight`, `max_distance`, `min_similarity`, `exact` and so on.

        Raises:
            CollectionNotFound: there is no such collection.
            EmbedderMismatch: the collection was filled by another embedder.
            InvalidVector, DimensionMismatch: the query is not a vector of the collection's dimension.
            InvalidFilter: the filter is malformed.
            InvalidSetting: `recall` is given, and no tuned curve of the collection reaches it.
            ModelError: a hosted embedder refused the request or cannot be reached.
            pydantic.ValidationError: an option is unknown, out of range, or not allowed in this mode.
        """
        request = request_of(query, options)
        return await self.search_with(collection, request, await query_vector(self._embedder, request))

    async def search_with(self, collection: str, request: SearchRequest, vector: Any) -> list[SearchHit]:
        """Return the result of `search` for a request whose text is already embedded as `vector`, which may be None.

        Raises:
            CollectionNotFound, EmbedderMismatch, InvalidFilter: as in `search`.
        """
        async with begin(self._sessions) as session:
            found = await AsyncCollectionRepository(session).get(collection)
            return _numbered(await self._search(session, found, request, vector))

    async def search_many(
        self, collection: str, queries: Queries, **options: Unpack[SharedKeywords]
    ) -> list[list[SearchHit]]:
        """Return the hits for many texts or vectors: one list per query, in the same order.

        In mode `vector` this is one statement, as in `AsyncSearchRepository.nearest_many`; in other modes one per
        query. Texts are embedded one by one, since the embedder protocol has no batch method for queries, which some
        embedders treat differently from documents.

        Args:
            collection: its name.
            queries: texts, vectors, or both.
            options: the fields of a `SearchRequest` except `text` and `vector`, the same for all queries.

        Raises:
            pydantic.ValidationError: an option is unknown, out of range, or cannot be shared.
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
        """Return a page of documents and the cursor of the next page; see `AsyncBrowseRepository.scroll`.

        Args:
            collection: its name.
            limit: number of documents per page, at least 1.
            where: a metadata filter; the same for every page.
            order_by: a metadata key; by default the id.
            descending: largest first.
            cursor: the cursor that the previous page returned; None for the first page.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidCursor: the cursor was altered, or belongs to another listing.
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
    """Return the vector of a request, before a transaction starts; None if it needs none or there is no embedder."""
    if request.vector is not None or request.text is None or request.mode == "text" or embedder is None:
        return request.vector
    return await aembed_query(embedder, request.text)


def _numbered(hits: Sequence[Any]) -> list[SearchHit]:
    return HtmlList([SearchHit.from_hit(rank, hit) for rank, hit in enumerate(hits, 1)])
