"""The service for documents: each method is one transaction, and none is open while the embedder works.

The exception is an all-or-nothing load, which is one transaction from its first batch to its last.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from typing import Any, Literal, Unpack

from rowspace.errors import CollectionExists, CollectionNotFound, ConfigurationError
from rowspace.filters import Filter
from rowspace.indexes import IndexName, Spec
from rowspace.repositories import AsyncCollectionRepository, CollectionOptions
from rowspace.repositories.given import size
from rowspace.results import LoadReport
from rowspace.services._async.loads import AsyncLoader, open_documents
from rowspace.services._async.reembedding import AsyncReembedder
from rowspace.services._async.searching import AsyncSearchService
from rowspace.services._async.sessions import AsyncSessions, begin
from rowspace.services.embedding import Embedder, aembed_query, checked_embedder, embedder_name
from rowspace.services.html import HtmlList
from rowspace.services.incoming import Given
from rowspace.services.loading import Load, LoadOptions, Progress, Rejects
from rowspace.services.models import CollectionInfo, DocumentOut, SearchHit
from rowspace.services.reembedding import WatchReembedding, new_index
from rowspace.services.requests import Query, SearchKeywords

__all__ = ["AsyncDocumentService"]

#: The number of collections to count in one transaction: it locks each table and its indexes, and by default, the
#: server has room for 6,400 locks of all sessions.
_COUNTED = 100


class AsyncDocumentService:
    """Documents in collections, by name.

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

    async def create_collection(
        self, name: str, dimension: int | None = None, *, exist_ok: bool = False, **options: Unpack[CollectionOptions]
    ) -> CollectionInfo:
        """Create a collection; see `AsyncCollectionRepository.create` for the options.

        Args:
            name: 1 to 200 characters.
            dimension: length of each embedding; None asks the embedder.
            exist_ok: return the existing collection of that name, if there is one.
            options: `distance`, `index`, `language`, `embedder`, `metadata`, `indexed_keys`.

        Raises:
            CollectionExists: the name is taken.
            ConfigurationError: a value is out of range, or neither a dimension nor an embedder is given.
        """
        if self._embedder is not None:
            options.setdefault("embedder", embedder_name(self._embedder))
        if exist_ok and (known := await self._known(name)):
            return known
        size = dimension if dimension is not None else await self._dimension()
        try:
            async with begin(self._sessions) as session:
                made = await AsyncCollectionRepository(session).create(name, size, **options)
                return CollectionInfo.from_collection(made)
        except CollectionExists:
            if not exist_ok:
                raise
            # Another transaction was faster; in REPEATABLE READ, this one would not see it.
            return await self.collection(name)

    async def collections(self) -> list[CollectionInfo]:
        """Return all collections in order of their names."""
        async with begin(self._sessions) as session:
            return HtmlList(
                [CollectionInfo.from_collection(c) for c in await AsyncCollectionRepository(session).list()]
            )

    async def collection(self, name: str) -> CollectionInfo:
        """Return a collection by name.

        Raises:
            CollectionNotFound: there is none of that name.
        """
        async with begin(self._sessions) as session:
            return CollectionInfo.from_collection(await AsyncCollectionRepository(session).get(name))

    async def rename_collection(self, name: str, new_name: str) -> CollectionInfo:
        """Rename a collection.

        Raises:
            CollectionNotFound: there is no such collection.
            CollectionExists: the new name is taken.
        """
        async with begin(self._sessions) as session:
            return CollectionInfo.from_collection(await AsyncCollectionRepository(session).rename(name, new_name))

    async def drop_collection(self, name: str) -> None:
        """Drop a collection with all its documents; waits for every transaction that has read or written documents.

        While it waits, it holds up others for half a second at most; see `AsyncCollectionRepository.drop_tables`.

        Raises:
            CollectionNotFound: there is none of that name.
            ConfigurationError: an `IndexBuilder` is working on the collection.
            TransactionConflict: other transactions stayed open for two minutes.
        """
        async with begin(self._sessions) as session:
            await AsyncCollectionRepository(session).drop(name)

    async def add(
        self,
        collection: str,
        documents: Iterable[Given] | AsyncIterable[Given],
        *,
        resume: str | None = None,
        rejects: Rejects | None = None,
        progress: Progress | None = None,
        **options: Unpack[LoadOptions],
    ) -> LoadReport:
        """Add documents, or update those whose id exists; texts that have not changed are not embedded again.

        Args:
            collection: its name.
            documents: an iterable of `DocumentIn`, mappings with its fields, or plain texts; read once, one batch at a
                time.
            resume: a key for the load. Each batch is committed with its progress, and the next load with that key into
                the collection skips what an interrupted one has written; its source must start with the same documents.
            rejects: called with each row that cannot be stored, instead of raising an error; the report counts them.
            progress: called after each batch with the totals so far.
            options: `batch_size`, `commit_batches`, `strip_nul`, `build_indexes`; see `LoadOptions`.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidRow, InvalidText, InvalidVector, DimensionMismatch: the message names the row.
            EmbedderMismatch: the collection was filled by another embedder.
            ConfigurationError: the source does not start with what the interrupted load has read; or the key is not a
                text of 1 to 2,600 bytes, or `rejects` or `progress` is not callable.
            TransactionConflict: another load with that key is running.
        """
        load = Load(strip_nul=options.get("strip_nul", False), progress=progress, rejects=rejects)
        loader = AsyncLoader(self._sessions, self._embedder, collection, load=load, options=options)
        return await loader.run(documents, resume)

    async def get(self, collection: str, ids: Iterable[str]) -> list[DocumentOut]:
        """Return documents by id, in the order of the ids; ids that do not exist are left out.

        Raises:
            CollectionNotFound: there is no such collection.
        """
        async with begin(self._sessions) as session:
            return [DocumentOut.from_document(d) for d in await (await open_documents(session, collection)).get(ids)]

    async def delete(
        self,
        collection: str,
        ids: Iterable[str] = (),
        *,
        where: Filter | None = None,
    ) -> int:
        """Delete documents by id or by a metadata filter and return how many were deleted.

        Raises:
            CollectionNotFound: there is no such collection.
            ConfigurationError: ids and a filter are both given, or the filter is empty; to delete everything, drop the
                collection.
            InvalidFilter: the filter is malformed.
        """
        async with begin(self._sessions) as session:
            return await (await open_documents(session, collection)).delete(ids, where=where)

    async def update_metadata(
        self,
        collection: str,
        changes: Mapping[str, Any],
        *,
        where: Filter | None,
    ) -> int:
        """Set metadata keys of the documents that match and return how many were updated.

        Costs a new version of each row, including its vector, and an entry for it in each index.

        Args:
            collection: its name.
            changes: keys to set at the top level; None removes a key.
            where: a metadata filter; None means all documents.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidText, InvalidRow: a value cannot be stored as JSONB.
            InvalidFilter: the filter is malformed.
        """
        async with begin(self._sessions) as session:
            return await (await open_documents(session, collection)).update_metadata(changes, where=where)

    async def count(self, collection: str, *, where: Filter | None = None) -> int:
        """Return the number of documents that match a metadata filter; costs a pass over them.

        Raises:
            CollectionNotFound: there is no such collection.
            InvalidFilter: the filter is malformed.
        """
        async with begin(self._sessions) as session:
            return await (await open_documents(session, collection)).count(where=where)

    async def counts(self) -> dict[str, int]:
        """Return the number of documents in each collection, by name; costs a pass over all documents."""
        async with begin(self._sessions) as session:
            names = {one.id: one.name for one in await AsyncCollectionRepository(session).list()}
        ids, found = [*names], dict.fromkeys(names, 0)
        for start in range(0, len(ids), _COUNTED):
            async with begin(self._sessions) as session:
                found |= await AsyncCollectionRepository(session).counts(ids[start : start + _COUNTED])
        return {names[id_]: count for id_, count in found.items()}

    async def search(self, collection: str, query: Query, **options: Unpack[SearchKeywords]) -> list[SearchHit]:
        """Return the documents nearest to a text or a vector; see `AsyncSearchService.search`."""
        return await AsyncSearchService(self._sessions, self._embedder).search(collection, query, **options)

    async def build_indexes(self, collection: str) -> None:
        """Create the missing indexes of a collection, in one transaction; writers wait, readers do not.

        Costs the builds; an HNSW index takes by far the longest. `AsyncIndexBuilder` builds without blocking writers.

        Raises:
            CollectionNotFound: there is no such collection.
            PermissionDenied: the role does not own the table of the collection.
        """
        async with begin(self._sessions) as session:
            await (await open_documents(session, collection)).create_indexes()

    async def reembed(
        self,
        collection: str,
        embedder: Embedder,
        *,
        index: Spec | IndexName | Literal["same"] | None = "same",
        batch_size: int = 500,
        progress: WatchReembedding | None = None,
    ) -> CollectionInfo:
        """Embed every document of a collection with another embedder, whose vectors may have another dimension.

        The new embeddings are stored next to the old ones, which serve every search until one short transaction swaps
        them; from then on, use a service with the new embedder. Documents that are written or deleted meanwhile are
        carried over. After an interruption, call it again to continue. Needs the disk space of a second collection.

        Args:
            collection: its name.
            embedder: the new embedder.
            index: as in `create_collection`; "same" keeps the collection's index.
            batch_size: number of documents embedded and written at once.
            progress: called with a `Reembedded` after each batch.

        Raises:
            CollectionNotFound: there is no such collection.
            ConfigurationError: another re-embedding has begun, the index cannot hold the new dimension, or the
                partition has a policy, trigger or index of its own.
            PermissionDenied: the role does not own the tables.
            TransactionConflict: the swap could not get its locks within two minutes; the new embeddings are kept.
        """
        dimension = len(await aembed_query(embedder, "dimension"))
        async with begin(self._sessions) as session:
            spec = new_index(await AsyncCollectionRepository(session).get(collection), dimension, index)
        work = AsyncReembedder(
            self._sessions, collection, embedder, batch_size=size("batch_size", batch_size), progress=progress
        )
        await work.run(dimension, spec)
        async with begin(self._sessions) as session:
            return CollectionInfo.from_collection(await AsyncCollectionRepository(session).get(collection))

    async def _known(self, name: str) -> CollectionInfo | None:
        try:
            return await self.collection(name)
        except CollectionNotFound:
            return None

    async def _dimension(self) -> int:
        if self._embedder is None:
            message = "A new collection needs a dimension. Pass one, or use a service with an embedder."
            located = ConfigurationError(message).at("dimension")
            raise located
        return len(await aembed_query(self._embedder, "dimension"))
