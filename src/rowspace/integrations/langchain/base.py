"""What every part of the store stands on: its database, its collection, and when that is made."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, Self, TypeVar
from weakref import WeakKeyDictionary

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from rowspace.distance import Distance
from rowspace.errors import CollectionNotFound, ConfigurationError
from rowspace.integrations._sides import Connection, Sides
from rowspace.integrations.langchain.embeddings import RowspaceEmbeddings
from rowspace.integrations.langchain.options import CollectionOptions, distance_of, relevance
from rowspace.services import AsyncDocumentService, CollectionInfo, DocumentOut, DocumentService, SearchHit
from rowspace.services.embedding import Embedder, checked_embedder

__all__ = ["StoreBase", "documents_of", "scored"]

T = TypeVar("T")


class StoreBase(VectorStore):
    """The constructor of the store, and its collection. It makes no connection before the first use.

    The first use looks for the collection and makes it where it is not there, for which the role needs the right to
    create tables; `create_collection=False` leaves that out. Tables and extension are the migrations' business: where
    they have not run, the first use is a `SchemaNotReady` that says how, unless `migrate=True` runs them.

    Args:
        embeddings: turns texts into vectors.
        connection: a URL, for sync and async alike; an `Engine` or `AsyncEngine`; a `Database` or `AsyncDatabase`;
            a session factory; or a live session, whose transaction remains the caller's. None takes
            `ROWSPACE_DATABASE_URL`, else the embedded server.
        embedding_length: numbers in each embedding of a new collection; None asks the embedder.
        collection_name: the collection.
        collection_metadata: metadata of a new collection.
        distance_strategy: a `DistanceStrategy`, a `Distance` or a name; None takes that of the collection, cosine for
            a new one.
        pre_delete_collection: drop the collection, with its documents, before the first use.
        logger: is told, at level INFO, of a collection that is made or dropped.
        relevance_score_fn: from a distance to a relevance, in place of the store's own.
        engine_args: for a URL: keywords of `create_engine` and `create_async_engine`.
        use_jsonb: has to be True.
        create_extension: taken for compatibility: the migrations create the extension.
        async_mode: taken for compatibility: a URL serves sync and async, an engine the side that it is.
        create_collection: make the collection where it is not there.
        collection_options: for a new collection, `index`, `indexed_keys` and `language` as in
            `DocumentService.create_collection`.
        migrate: run Rowspace's migrations before the first use.

    Raises:
        ConfigurationError: an option that Rowspace cannot honour, or what is no embedder.
    """

    def __init__(
        self,
        embeddings: Embedder,
        *,
        connection: Connection = None,
        embedding_length: int | None = None,
        collection_name: str = "langchain",
        collection_metadata: dict[str, Any] | None = None,
        distance_strategy: Any = None,
        pre_delete_collection: bool = False,
        logger: logging.Logger | None = None,
        relevance_score_fn: Callable[[float], float] | None = None,
        engine_args: dict[str, Any] | None = None,
        use_jsonb: bool = True,
        create_extension: bool = True,
        async_mode: bool = False,
        create_collection: bool = True,
        collection_options: dict[str, Any] | None = None,
        migrate: bool = False,
    ) -> None:
        del create_extension, async_mode
        if not use_jsonb:
            message = "Metadata is stored as JSONB, which filters need: leave use_jsonb out, or say True."
            raise ConfigurationError(message)
        checked_embedder(embeddings)
        self.collection_name = collection_name
        self._options = CollectionOptions(
            create=create_collection,
            dimension=embedding_length,
            distance=distance_of(distance_strategy),
            metadata=collection_metadata,
            extra=collection_options,
        )
        self._embeddings = embeddings
        self._sides = Sides(connection, engine_args)
        self._relevance = relevance_score_fn
        self._logger = logger or logging.getLogger(__name__)
        self._found: CollectionInfo | None = None
        self._to_replace, self._to_migrate = pre_delete_collection, migrate
        self._lock = Lock()
        self._alocks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(collection_name={self.collection_name!r})"

    @property
    def embeddings(self) -> Embeddings:
        """The embedder, in a `RowspaceEmbeddings` if it is none of LangChain's."""
        given = self._embeddings
        return given if isinstance(given, Embeddings) else RowspaceEmbeddings(given)

    def close(self) -> None:
        """Close the sync engine that was opened for this store; one that was handed in stays open."""
        self._sides.close()

    async def aclose(self) -> None:
        """Close the engines that were opened for this store, the async one of this event loop among them."""
        await self._sides.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()

    def create_collection(self) -> CollectionInfo:
        """Make the collection where it is not there, and return what it is.

        Raises:
            SchemaNotReady: the migrations have not run; the message has the command.
            CollectionNotFound: it is not there, and the store was told not to make it.
            ConfigurationError: it has another dimension or distance than was asked for.
            PermissionDenied: the role may not create tables.
        """
        return self._ready()

    async def acreate_collection(self) -> CollectionInfo:
        """Make the collection where it is not there, and return what it is; see `create_collection`."""
        return await self._aready()

    def delete_collection(self) -> None:
        """Drop the collection with all its documents; the next use makes it anew. One that is not there is no error."""
        self._found = None
        try:
            self._service.drop_collection(self.collection_name)
        except CollectionNotFound:
            return
        self._logger.info("Dropped the collection %r", self.collection_name)

    async def adelete_collection(self) -> None:
        """Drop the collection with all its documents; the next use makes it anew. One that is not there is no error."""
        self._found = None
        try:
            await self._aservice.drop_collection(self.collection_name)
        except CollectionNotFound:
            return
        self._logger.info("Dropped the collection %r", self.collection_name)

    @property
    def _service(self) -> DocumentService:
        return DocumentService(self._sides.sync, self._embeddings)

    @property
    def _aservice(self) -> AsyncDocumentService:
        return AsyncDocumentService(self._sides.asynchronous, self._embeddings)

    def _ready(self) -> CollectionInfo:
        """Return the collection, found or made; the first use may have to migrate or to drop it before."""
        if self._found is not None:
            return self._found
        with self._lock:
            if self._to_migrate:
                self._sides.migrate()
                self._to_migrate = False
            if self._to_replace:
                self.delete_collection()
                self._to_replace = False
            try:
                info = self._service.collection(self.collection_name)
            except CollectionNotFound:
                if not self._options.create:
                    raise
                info = self._service.create_collection(self.collection_name, **self._options.create_keywords())
                self._logger.info("Made the collection %r", self.collection_name)
            return self._keep(info)

    async def _aready(self) -> CollectionInfo:
        if self._found is not None:
            return self._found
        async with self._alocks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            if self._to_migrate:
                await self._sides.amigrate()
                self._to_migrate = False
            if self._to_replace:
                await self.adelete_collection()
                self._to_replace = False
            try:
                info = await self._aservice.collection(self.collection_name)
            except CollectionNotFound:
                if not self._options.create:
                    raise
                keywords = self._options.create_keywords()
                info = await self._aservice.create_collection(self.collection_name, **keywords)
                self._logger.info("Made the collection %r", self.collection_name)
            return self._keep(info)

    def _keep(self, info: CollectionInfo) -> CollectionInfo:
        self._options.check(info)
        # In a transaction of the caller's it may be gone tomorrow.
        if not self._sides.joined:
            self._found = info
        return info

    def _relevance_of(self, info: CollectionInfo) -> Callable[[float], float]:
        return self._relevance or relevance(Distance(info.distance))

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return self._relevance_of(self._ready())


def documents_of(hits: Sequence[SearchHit | DocumentOut]) -> list[Document]:
    """Return hits, or documents, as LangChain's documents."""
    return [Document(id=hit.id, page_content=hit.content, metadata=hit.metadata) for hit in hits]


def scored(hits: list[SearchHit], field: str = "distance") -> list[tuple[Document, float]]:
    """Return hits as LangChain's documents, each with its distance or another of its numbers."""
    return [(document, getattr(hit, field)) for document, hit in zip(documents_of(hits), hits, strict=True)]
