"""The service for documents: each method is one transaction."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.errors import ConfigurationError
from rowspace.filters import Filter
from rowspace.repositories import AsyncCollectionRepository, AsyncDocumentRepository, AsyncHybridRepository
from rowspace.results import LoadReport
from rowspace.services.embedding import (
    Embedder,
    aembed_query,
    aembed_texts,
    check_dimension,
    check_embedder,
    embedder_name,
)
from rowspace.services.html import HtmlList
from rowspace.services.loading import Batch, Given, Load, Progress, abatches
from rowspace.services.models import CollectionInfo, DocumentOut, SearchHit, SearchRequest
from rowspace.services.requests import request_of, search_options

__all__ = ["AsyncDocumentService"]


class AsyncSessions(Protocol):
    """What a service takes sessions from: an `AsyncDatabase`, or SQLAlchemy's `async_sessionmaker`."""

    def begin(self) -> AbstractAsyncContextManager[AsyncSession]:
        """Return a context with a session that is committed at its end, or rolled back on an error."""


class AsyncDocumentService:
    """Documents in collections, by name.

    Args:
        sessions: an `AsyncDatabase`, or an `async_sessionmaker` on an engine that `rowspace.wire.instrument` has seen.
        embedder: turns texts into vectors: any LangChain `Embeddings`; one without async methods runs in a thread.
    """

    def __init__(self, sessions: AsyncSessions, embedder: Embedder | None = None) -> None:
        self._sessions = sessions
        self._embedder = embedder

    async def create_collection(
        self, name: str, dimension: int | None = None, *, exist_ok: bool = False, **options: Any
    ) -> CollectionInfo:
        """Create a collection; see `AsyncCollectionRepository.create` for the options.

        Args:
            name: 1 to 200 characters.
            dimension: numbers in each embedding; None asks the embedder.
            exist_ok: return the collection of that name where there is one.
            options: `distance`, `index`, `language`, `embedder`, `metadata`.

        Raises:
            CollectionExists: there is one of that name.
            ConfigurationError: a value out of range, or neither a dimension nor an embedder.
        """
        if self._embedder is not None:
            options.setdefault("embedder", embedder_name(self._embedder))
        async with self._sessions.begin() as session:
            repository = AsyncCollectionRepository(session)
            known = {c.name: c for c in await repository.list()} if exist_ok else {}
            if name in known:
                return CollectionInfo.from_collection(known[name])
            size = dimension if dimension is not None else await self._dimension()
            return CollectionInfo.from_collection(await repository.create(name, size, **options))

    async def collections(self) -> list[CollectionInfo]:
        """Return all collections by name."""
        async with self._sessions.begin() as session:
            return HtmlList(
                [CollectionInfo.from_collection(c) for c in await AsyncCollectionRepository(session).list()]
            )

    async def rename_collection(self, name: str, new_name: str) -> CollectionInfo:
        """Give a collection another name.

        Raises:
            CollectionNotFound, CollectionExists: there is none of that name; the new name is taken.
        """
        async with self._sessions.begin() as session:
            return CollectionInfo.from_collection(await AsyncCollectionRepository(session).rename(name, new_name))

    async def drop_collection(self, name: str) -> None:
        """Drop a collection with all its documents.

        Raises:
            CollectionNotFound: there is none of that name.
        """
        async with self._sessions.begin() as session:
            await AsyncCollectionRepository(session).drop(name)

    async def add(
        self,
        collection: str,
        documents: Iterable[Given] | AsyncIterable[Given],
        *,
        batch_size: int = 500,
        commit_batches: bool = False,
        progress: Progress | None = None,
        strip_nul: bool = False,
        build_indexes: bool = True,
    ) -> LoadReport:
        """Add documents, or update those whose id is there; texts that did not change are not embedded again.

        Args:
            collection: its name.
            documents: `DocumentIn`, mappings of its fields, or bare texts; any iterable, read once.
            batch_size: documents embedded and written at once.
            commit_batches: commit each batch, so that an interrupted load keeps what it wrote; by default all or none.
            progress: called after each batch with the totals so far.
            strip_nul: leave NUL bytes out of text, in place of an error.
            build_indexes: create the indexes after a load into an empty collection, which is faster than before it.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidRow, InvalidText, InvalidVector, DimensionMismatch: the message names the row.
            EmbedderMismatch: the collection was filled by another embedder.
        """
        load = Load(strip_nul=strip_nul, progress=progress)
        source = abatches(documents, batch_size)
        if commit_batches:
            async for given in source:
                async with self._sessions.begin() as session:
                    await self._write(await _repository(session, collection), load, given)
            async with self._sessions.begin() as session:
                await _finish(await _repository(session, collection), load, build_indexes=build_indexes)
        else:
            async with self._sessions.begin() as session:
                repository = await _repository(session, collection)
                async for given in source:
                    await self._write(repository, load, given)
                await _finish(repository, load, build_indexes=build_indexes)
        return load.report

    async def get(self, collection: str, ids: Iterable[str]) -> list[DocumentOut]:
        """Return documents by id, in the order of the ids; those that are not there are left out."""
        async with self._sessions.begin() as session:
            return [DocumentOut.from_document(d) for d in await (await _repository(session, collection)).get(ids)]

    async def delete(
        self,
        collection: str,
        ids: Iterable[str] = (),
        *,
        where: Filter | None = None,
    ) -> int:
        """Delete documents by id or by a metadata filter and return how many there were."""
        async with self._sessions.begin() as session:
            return await (await _repository(session, collection)).delete(ids, where=where)

    async def update_metadata(
        self,
        collection: str,
        changes: Mapping[str, Any],
        *,
        where: Filter | None,
    ) -> int:
        """Set keys of the metadata of the documents that match and return how many there were; None removes a key."""
        async with self._sessions.begin() as session:
            return await (await _repository(session, collection)).update_metadata(changes, where=where)

    async def count(self, collection: str, *, where: Filter | None = None) -> int:
        """Return the number of documents that match a metadata filter."""
        async with self._sessions.begin() as session:
            return await (await _repository(session, collection)).count(where=where)

    async def search(self, collection: str, query: SearchRequest | Any, **options: Any) -> list[SearchHit]:
        """Return the nearest documents to a text or a vector, or those that match a text by keyword; best first.

        Args:
            collection: its name.
            query: a `SearchRequest`; or a text or a vector, with the fields of a `SearchRequest` as keywords.
            options: `k`, `filter`, `mode`, `highlight`, `max_distance`, `exact`, `ef_search`, `recall`.

        Raises:
            CollectionNotFound: there is no such collection.
            EmbedderMismatch: the collection was filled by another embedder.
            InvalidFilter: the filter is malformed.
        """
        request = request_of(query, options)
        async with self._sessions.begin() as session:
            repository = await _repository(session, collection)
            hits = await self._search(repository, request)
            return HtmlList([SearchHit.from_hit(rank, hit) for rank, hit in enumerate(hits, 1)])

    async def _search(self, repository: AsyncDocumentRepository, request: SearchRequest) -> Sequence[Any]:
        options = search_options(request)
        by_text = AsyncHybridRepository(repository.session, repository.collection)
        if request.mode == "text":
            return await by_text.text(request.text or "", request.k, **options)
        vector: Any = request.vector
        if vector is None and request.text is not None:
            check_embedder(repository.collection, self._embedder)
            vector = await aembed_query(self._embedder, request.text)
        if request.mode == "hybrid":
            return await by_text.hybrid(request.text or "", vector, request.k, **options)
        return await repository.nearest(vector, request.k, **options)

    async def build_indexes(self, collection: str) -> None:
        """Create the indexes of a collection that are missing."""
        async with self._sessions.begin() as session:
            await (await _repository(session, collection)).create_indexes()

    async def _write(self, repository: AsyncDocumentRepository, load: Load, given: list[Given]) -> None:
        batch = load.batch(given, repository.collection.dimension)
        if load.was_empty is None:
            load.was_empty = await repository.is_empty()
        batch.compare(await repository.fingerprints(list(batch.documents)))
        embeddings = await self._embed(repository, batch)
        written = await repository.upsert(batch.rows(embeddings), batch_size=len(batch.documents))
        await repository.replace_metadata(batch.metadata_changes())
        load.done(batch.report(written))

    async def _embed(self, repository: AsyncDocumentRepository, batch: Batch) -> dict[str, Any]:
        texts = batch.to_embed()
        if not texts:
            return {}
        collection = repository.collection
        check_embedder(collection, self._embedder)
        vectors = await aembed_texts(self._embedder, list(texts.values()))
        check_dimension(collection, self._embedder, vectors)
        if collection.embedder is None:
            # Locked: another load of the same new collection may have been first, with another embedder.
            await repository.session.refresh(collection, ["embedder"], with_for_update=True)
            check_embedder(collection, self._embedder)
            collection.embedder = embedder_name(self._embedder)
        return dict(zip(texts, vectors, strict=True))

    async def _dimension(self) -> int:
        if self._embedder is None:
            message = "A new collection needs a dimension, or a service with an embedder that knows it."
            raise ConfigurationError(message)
        return len(await aembed_query(self._embedder, "dimension"))


async def _repository(session: AsyncSession, collection: str) -> AsyncDocumentRepository:
    return AsyncDocumentRepository(session, await AsyncCollectionRepository(session).get(collection))


async def _finish(repository: AsyncDocumentRepository, load: Load, *, build_indexes: bool) -> None:
    if build_indexes and load.was_empty and load.report.written:
        await repository.create_indexes()
