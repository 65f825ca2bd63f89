"""The base of the store: its database and its collection, which it creates on first use."""

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
    """The constructor of the store, and its collection. The store does not connect before its first use.

    The first use looks up the collection and creates it if it is missing. Creating it requires the right to create
    tables; `create_collection=False` prevents it. Migrations create the tables and the extension. If they have not
    run, the first use raises `SchemaNotReady` with the command to run, unless `migrate=True` runs them.

    Args:
        embeddings: converts texts to vectors.
        connection: a URL, which serves sync and async calls; an `Engine` or `AsyncEngine`; a `Database` or
            `AsyncDatabase`; a session factory; or a session, whose transaction still belongs to the caller. None uses
            `ROWSPACE_DATABASE_URL`, else the embedded server.
        embedding_length: the dimension of a new collection; None asks the embedder.
        collection_name: the name of the collection.
        collection_metadata: metadata of a new collection.
        distance_strategy: a `DistanceStrategy`, a `Distance` or a name; None uses the distance of the collection,
            cosine for a new one.
        pre_delete_collection: whether to drop the collection, with its documents, before the first use.
        logger: logs, at level INFO, when a collection is created or dropped.
        relevance_score_fn: maps a distance to a relevance, instead of the store's own function.
        engine_args: keyword arguments for `create_engine` and `create_async_engine`; only with a URL.
        use_jsonb: must be True.
        create_extension: accepted for compatibility; the migrations create the extension.
        async_mode: accepted for compatibility; a URL serves sync and async calls, an engine its own kind.
        create_collection: whether to create the collection if it is missing.
        collection_options: for a new collection, `index`, `indexed_keys` and `language` as in
            `DocumentService.create_collection`.
        migrate: whether to run Rowspace's migrations before the first use.

    Raises:
        ConfigurationError: an option is not supported, or the embedder lacks required methods.
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
            message = "Metadata is always stored as JSONB, which filters need. Omit use_jsonb, or pass True."
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
        """The embedder, wrapped in a `RowspaceEmbeddings` if it is not a LangChain `Embeddings`."""
        given = self._embeddings
        return given if isinstance(given, Embeddings) else RowspaceEmbeddings(given)

    def close(self) -> None:
        """Close the sync engine that this store opened; one that was passed in stays open."""
        self._sides.close()

    async def aclose(self) -> None:
        """Close the engines that this store opened, including the async one of this event loop."""
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
        """Create the collection if it is missing, and return it.

        Raises:
            SchemaNotReady: the migrations have not run; the message has the command.
            CollectionNotFound: the collection is missing, and the store may not create it.
            ConfigurationError: the collection has another dimension or distance than requested.
            PermissionDenied: the role may not create tables.
        """
        return self._ready()

    async def acreate_collection(self) -> CollectionInfo:
        """Create the collection if it is missing, and return it; see `create_collection`."""
        return await self._aready()

    def delete_collection(self) -> None:
        """Drop the collection with all its documents, if it exists; the next use creates it again."""
        self._found = None
        try:
            self._service.drop_collection(self.collection_name)
        except CollectionNotFound:
            return
        self._logger.info("Dropped the collection %r", self.collection_name)

    async def adelete_collection(self) -> None:
        """Drop the collection with all its documents, if it exists; the next use creates it again."""
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
        """Return the collection, creating it if necessary; the first use may first migrate, or drop it."""
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
                self._logger.info("Created the collection %r", self.collection_name)
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
                self._logger.info("Created the collection %r", self.collection_name)
            return self._keep(info)

    def _keep(self, info: CollectionInfo) -> CollectionInfo:
        self._options.check(info)
        # Do not cache it within a caller's transaction, which could roll its creation back.
        if not self._sides.joined:
            self._found = info
        return info

    def _relevance_of(self, info: CollectionInfo) -> Callable[[float], float]:
        return self._relevance or relevance(Distance(info.distance))

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return self._relevance_of(self._ready())


def documents_of(hits: Sequence[SearchHit | DocumentOut]) -> list[Document]:
    """Return hits or documents as LangChain documents."""
    return [Document(id=hit.id, page_content=hit.content, metadata=hit.metadata) for hit in hits]


def scored(hits: list[SearchHit], field: str = "distance") -> list[tuple[Document, float]]:
    """Return hits as LangChain documents, each with its distance or another score."""
    return [(document, getattr(hit, field)) for document, hit in zip(documents_of(hits), hits, strict=True)]
