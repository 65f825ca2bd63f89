"""The repository of the documents of one collection."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping, Sequence
from typing import Any, Unpack

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from rowspace.errors import ConfigurationError, mapped_errors
from rowspace.indexes import IVFFlat, from_dict
from rowspace.models import Collection, Document
from rowspace.repositories._async.collections import AsyncCollectionRepository
from rowspace.repositories._async.loading import upsert_rows
from rowspace.repositories._async.policies import under_policies
from rowspace.repositories._async.searching import run_search
from rowspace.repositories._async.streaming import stream_hits
from rowspace.repositories._async.verbatim import rows_changed, run_verbatim
from rowspace.repositories.given import AsyncAnySession, at_hand, ids_of, mapping, session_of
from rowspace.repositories.searches import SearchOptions, plan_search
from rowspace.repositories.subjects import Where, subject_of
from rowspace.results import Hit, LoadReport
from rowspace.statements import documents as statements
from rowspace.wire.values import storable_json

__all__ = ["AsyncDocumentRepository"]


class AsyncDocumentRepository:
    """Documents of one collection, in the caller's session and transaction.

    Args:
        session: a SQLAlchemy async session.
        collection: a collection that this session or another one loaded.
    """

    def __init__(self, session: AsyncAnySession, collection: Collection) -> None:
        self.session: AsyncSession = session_of(session, AsyncSession)
        self.collection = collection
        self._subject = subject_of(collection)

    async def upsert(
        self,
        rows: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
        *,
        batch_size: int = 5_000,
        fresh: bool | None = None,
    ) -> LoadReport:
        """Insert documents, and update those whose id already exists, by binary COPY.

        A load into an empty collection is copied straight into its table; any other load goes through a staging table.
        Costs one COPY per batch, and in the second case a statement that merges it. On psycopg and asyncpg, up to a
        hundred rows totaling at most a megabyte take a single statement. Before that, one query asks whether row-level
        policies apply to this role, since they decide which table is written to, and a larger load asks whether the
        collection is empty.

        Args:
            rows: mappings with `id`, `content`, `embedding` and optionally `meta`; read once, one batch at a time.
            batch_size: number of rows held in memory and sent at once.
            fresh: True if most likely none of the ids exists yet: the collection is then loaded like an empty one, and
                an id that exists after all is still updated. None finds out whether the collection is empty.

        Raises:
            DimensionMismatch, InvalidVector, InvalidText, InvalidRow: the message names the row; nothing of the batch
                was written.
        """
        subject = await under_policies(self.session, self._subject)
        return await upsert_rows(
            self.session,
            Document,
            rows,
            batch_size=batch_size,
            empty=bool(fresh),
            is_empty=self.is_empty if fresh is None else None,
            **subject.load_options(),
        )

    async def get(self, ids: Iterable[str]) -> list[Document]:
        """Return documents by id, in the order of the ids; ids that do not exist are left out.

        Costs one statement.

        Raises:
            ConfigurationError: a single string was given instead of several ids.
            InvalidText: an id is not a string.
        """
        wanted = ids_of(ids)
        with mapped_errors():
            found = {d.id: d for d in await self.session.scalars(statements.by_ids(self._collection.id, wanted))}
        return [found[id_] for id_ in wanted if id_ in found]

    async def delete(self, ids: Iterable[str] = (), *, where: Where | None = None) -> int:
        """Delete documents by id or by conditions and return how many were deleted.

        Costs one statement, or with conditions a pass over the documents that match. If the session holds documents,
        the keys of the deleted ones are read back.

        Args:
            ids: the ids.
            where: a metadata filter, or conditions on `Document`.

        Raises:
            ConfigurationError: both are given, the conditions are empty, or a single string or condition was given
                instead of a sequence.
            InvalidText: an id that is no text.
            InvalidFilter: the filter is malformed.
        """
        wanted, matching = ids_of(ids), self._subject.conditions(where)
        if bool(wanted) == bool(matching.clauses):
            message = "delete needs ids, or conditions that are not empty. To delete everything, drop the collection."
            if wanted or where is not None:
                raise ConfigurationError(message)
            return 0
        id_ = self._collection.id
        statement = statements.delete_ids(id_, wanted) if wanted else statements.delete_matching(id_, matching.clauses)
        return await rows_changed(self.session, Document, statement, matching.parameters)

    async def update_metadata(self, changes: Mapping[str, Any], *, where: Where | None) -> int:
        """Set metadata keys of the documents that match and return how many were updated.

        Costs a new version of each row, including its vector, and an entry for it in each index.

        Args:
            changes: keys to set at the top level; None removes a key.
            where: a metadata filter, or conditions on `Document`; None updates every document.

        Raises:
            InvalidText, InvalidRow: a value that JSONB cannot store.
            InvalidFilter: the filter is malformed.
        """
        stored = storable_json(mapping("changes", changes))
        matching = self._subject.conditions(where)
        statement = statements.merge_metadata(self._collection.id, stored, matching.clauses)
        return await rows_changed(self.session, Document, statement, matching.parameters)

    async def replace_metadata(
        self, metadata: Mapping[str, Mapping[str, Any]], *, digests: Mapping[str, str] | None = None
    ) -> None:
        """Replace the metadata of documents by id; ids that do not exist are ignored.

        Costs one UPDATE per document.

        Args:
            metadata: the new metadata by id.
            digests: the hexadecimal SHA-256 of each content by id, as `fingerprints` returns it. A document whose
                content has changed since is left alone, because the metadata belongs to the old text.
        """
        # In the order of the ids, like an upsert, so that two concurrent calls cannot deadlock.
        given = sorted(mapping("metadata", metadata).items())
        rows = [
            {"the_id": id_, "meta": mapping(f"The metadata of {id_!r}", meta)}
            | ({} if digests is None else {"digest": digests[id_]})
            for id_, meta in given
        ]
        if rows:
            with mapped_errors():
                # Not the session's bulk UPDATE, which raises an error if a row has been deleted meanwhile.
                statement = statements.set_metadata(self._collection.id, compared=digests is not None)
                await (await self._connection()).execute(statement, rows)

    async def count(self, *, where: Where | None = None) -> int:
        """Return the number of documents that match; costs a pass over them."""
        matching = self._subject.conditions(where)
        with mapped_errors():
            statement = statements.count(self._collection.id, matching.clauses)
            return await self.session.scalar(statement, dict(matching.parameters)) or 0

    async def is_empty(self) -> bool:
        """Return whether the collection has no documents; costs one row."""
        with mapped_errors():
            return bool(await self.session.scalar(statements.is_empty(self._collection.id)))

    async def begin_first_load(self) -> bool:
        """Return whether the collection has no documents; if so, other first loads wait until this transaction ends.

        A first load ends by creating the indexes, which waits for every other writer: two first loads at once would
        wait for each other. Costs one row, and the wait.

        Raises:
            ConfigurationError: an `IndexBuilder` is working on the collection. None can start while this transaction
                runs.
        """
        if not await self.is_empty():
            return False
        await self._begin_to_build()
        return await self.is_empty()

    async def fingerprints(self, ids: Sequence[str]) -> dict[str, tuple[str, dict[str, Any]]]:
        """Return the hexadecimal SHA-256 of the content, and the metadata, of those ids that exist.

        Costs one statement, in which the server reads every text.
        """
        with mapped_errors():
            rows = await self.session.execute(statements.fingerprints(self._collection.id, ids))
            return {id_: (digest, meta) for id_, digest, meta in rows}

    async def create_indexes(self) -> None:
        """Create the missing indexes on vectors, metadata and text, then run ANALYZE.

        Call it after loading the rows. Costs the builds; an HNSW index takes by far the longest. Writers to this
        collection are blocked until the transaction ends, readers are not.

        Raises:
            ConfigurationError: an `IndexBuilder` is at work on the collection.
        """
        spec = from_dict(self._collection.index)
        if isinstance(spec, IVFFlat):
            spec = spec.sized(await self.count())
        with mapped_errors():
            await self._begin_to_build()
            connection = await self._connection()
            partition = await AsyncCollectionRepository(self.session).partition_of(self._collection)
            indexes = partition.create_indexes(spec, self._collection.language, self._collection.indexed_keys)
            await run_verbatim(connection, [*indexes, partition.analyze()])

    async def nearest(
        self,
        query: Any,
        k: int = 10,
        *,
        where: Where | None = None,
        **options: Unpack[SearchOptions],
    ) -> list[Hit[Document]]:
        """Return the k documents nearest to a vector, nearest first; costs what `AsyncRepository.nearest` costs.

        Args:
            query: a 1-d array-like of the collection's dimension.
            k: number of documents to return, at least 1.
            where: a metadata filter, such as `{"year": {"$gt": 2020}}`, or conditions on `Document`.
            options: the options of every vector search; see `rowspace.repositories.SearchOptions`.

        Raises:
            InvalidVector, InvalidSetting, InvalidFilter: as `AsyncRepository.nearest`.
            CollectionNotFound: a search without conditions found nothing because the collection has been dropped.
        """
        return await run_search(self.session, plan_search(self._subject, k, where, options, query=query))

    def stream(
        self,
        query: Any,
        *,
        where: Where | None = None,
        max_distance: float | None = None,
        min_distance: float | None = None,
        with_embedding: bool = False,
        chunk_size: int = 1_000,
    ) -> AsyncGenerator[Hit[Document], None]:
        """Yield every document that matches, nearest first, from a server-side cursor; only one chunk is in memory.

        Always exact: costs a pass over the documents that match and a sort on the server. You may leave the loop at any
        time, and use the session during the loop, until its transaction ends.

        Args:
            query: a 1-d array-like of the collection's dimension.
            where: as in `nearest`.
            max_distance: leave out documents that are farther.
            min_distance: leave out documents that are nearer.
            with_embedding: also load the embedding of each hit.
            chunk_size: number of documents fetched and held at once, at least 1.

        Raises:
            InvalidVector: the query is not a vector of the collection's dimension.
            InvalidSetting: the chunk size is out of range.
        """
        options: SearchOptions = {"max_distance": max_distance, "min_distance": min_distance}
        options["with_embedding"] = with_embedding
        return stream_hits(self.session, self._subject, query, where=where, chunk_size=chunk_size, **options)

    async def _begin_to_build(self) -> None:
        """Keep other sessions from building indexes of the collection until the transaction ends."""
        with mapped_errors():
            # If two sessions create the same index at once, one of them fails, even with IF NOT EXISTS.
            await (await self._connection()).execute(statements.lock_first_load(self._collection.id))
            await AsyncCollectionRepository(self.session).keep_builders_off(self._collection)

    @property
    def _collection(self) -> Collection:
        return at_hand(self.collection)

    async def _connection(self) -> AsyncConnection:
        return await self.session.connection(bind_arguments={"mapper": Document})
