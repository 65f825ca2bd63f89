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
        """Insert documents, and update those whose id is there already, by COPY in binary.

        A load into an empty collection is copied straight into it; any other goes through a staging table. Costs a
        COPY a batch, and for the latter a statement that merges it. On psycopg and asyncpg up to a hundred rows of a
        megabyte in all are one statement. Before that it asks whether policies on the rows bind this role, as they
        decide which table is written to, and of more rows whether the collection is empty.

        Args:
            rows: mappings with `id`, `content`, `embedding` and, if any, `meta`; read once, a batch at a time.
            batch_size: rows held in memory and sent at once.
            fresh: whether most likely no id is there yet, so that the collection is loaded like an empty one, as an id
                that is there after all is updated; None asks whether it is empty.

        Raises:
            DimensionMismatch, InvalidVector, InvalidText, InvalidRow: the message names the row; nothing of the
                batch was written.
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
        """Return the documents of ids, in the order of the ids; those that are not there are left out.

        Costs one statement.

        Raises:
            ConfigurationError: one text in place of several ids.
            InvalidText: an id that is no text.
        """
        wanted = ids_of(ids)
        with mapped_errors():
            found = {d.id: d for d in await self.session.scalars(statements.by_ids(self._collection.id, wanted))}
        return [found[id_] for id_ in wanted if id_ in found]

    async def delete(self, ids: Iterable[str] = (), *, where: Where | None = None) -> int:
        """Delete documents by id or by conditions and return how many there were.

        Costs one statement; by conditions a pass over the documents that match. Where the session has documents, the
        keys of those that are deleted are read back.

        Args:
            ids: the ids.
            where: a metadata filter, or conditions on `Document`.

        Raises:
            ConfigurationError: both are given, or conditions that are empty; or one text in place of several ids, or
                one condition in place of several.
            InvalidText: an id that is no text.
            InvalidFilter: the filter is malformed.
        """
        wanted, matching = ids_of(ids), self._subject.conditions(where)
        if bool(wanted) == bool(matching.clauses):
            message = "delete takes ids or conditions that are not empty; to delete everything, drop the collection."
            if wanted or where is not None:
                raise ConfigurationError(message)
            return 0
        id_ = self._collection.id
        statement = statements.delete_ids(id_, wanted) if wanted else statements.delete_matching(id_, matching.clauses)
        return await rows_changed(self.session, Document, statement, matching.parameters)

    async def update_metadata(self, changes: Mapping[str, Any], *, where: Where | None) -> int:
        """Set keys of the metadata of the documents that match and return how many there were.

        Costs a new version of each row, with its vector, and an entry of it in each index.

        Args:
            changes: keys to set at the top level; None removes a key.
            where: a metadata filter, or conditions on `Document`; None means all of them.

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
        """Replace the metadata of documents by id; ids that are not there are left out.

        Costs an UPDATE for each document.

        Args:
            metadata: by id.
            digests: by id the SHA-256 of the content in hexadecimal, as of `fingerprints`: a document whose content is
                another by now is left out too, as the metadata is not that of its text.
        """
        # In the order of the ids, as an upsert: two of these at once wait for each other, and not in a circle.
        given = sorted(mapping("metadata", metadata).items())
        rows = [
            {"the_id": id_, "meta": mapping(f"The metadata of {id_!r}", meta)}
            | ({} if digests is None else {"digest": digests[id_]})
            for id_, meta in given
        ]
        if rows:
            with mapped_errors():
                # Not the session's UPDATE of many rows, to which one that somebody has deleted meanwhile is an error.
                statement = statements.set_metadata(self._collection.id, compared=digests is not None)
                await (await self._connection()).execute(statement, rows)

    async def count(self, *, where: Where | None = None) -> int:
        """Return the number of documents that match; costs a pass over them."""
        matching = self._subject.conditions(where)
        with mapped_errors():
            statement = statements.count(self._collection.id, matching.clauses)
            return await self.session.scalar(statement, dict(matching.parameters)) or 0

    async def is_empty(self) -> bool:
        """Return whether there is no document; costs one row."""
        with mapped_errors():
            return bool(await self.session.scalar(statements.is_empty(self._collection.id)))

    async def begin_first_load(self) -> bool:
        """Return whether there is no document; if so, other first loads wait until this transaction ends.

        A first load creates the indexes at its end, which waits for everybody who has written: two of them would wait
        for each other. Costs one row, and the wait.

        Raises:
            ConfigurationError: an `IndexBuilder` is at work on the collection; from here on none begins.
        """
        if not await self.is_empty():
            return False
        await self._begin_to_build()
        return await self.is_empty()

    async def fingerprints(self, ids: Sequence[str]) -> dict[str, tuple[str, dict[str, Any]]]:
        """Return the SHA-256 of the content, as hexadecimal text, and the metadata of those ids that are there.

        Costs one statement, in which the server reads each of the texts.
        """
        with mapped_errors():
            rows = await self.session.execute(statements.fingerprints(self._collection.id, ids))
            return {id_: (digest, meta) for id_, digest, meta in rows}

    async def create_indexes(self) -> None:
        """Create the indexes that are missing: on the vectors, the metadata and the text; then ANALYZE.

        Run it after the rows are loaded. Costs the builds, of which that of an HNSW index takes by far the longest. It
        holds off writers to this collection, not readers, until the transaction ends.

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
        """Return the k nearest documents to a vector, nearest first; at the cost of `AsyncRepository.nearest`.

        Args:
            query: a 1-d array-like of the collection's dimension.
            k: documents wanted, at least 1.
            where: a metadata filter, such as `{"year": {"$gt": 2020}}`, or conditions on `Document`.
            options: those of every search by vector; see `rowspace.repositories.SearchOptions`.

        Raises:
            InvalidVector, InvalidSetting, InvalidFilter: as `AsyncRepository.nearest`.
            CollectionNotFound: nothing was found without conditions, as the collection was dropped since it was looked
                up.
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
        """Yield every document that matches, nearest first, from a cursor of the server's: memory for one chunk.

        Always exact: costs a pass over the documents that match and a sort of them in the server. The loop may be
        left at any time; the session stays usable, during the loop too, until its transaction ends.

        Args:
            query: a 1-d array-like of the collection's dimension.
            where: as in `nearest`.
            max_distance: leave out what is farther.
            min_distance: leave out what is nearer.
            with_embedding: load the embedding of each hit too.
            chunk_size: documents fetched and held at once, at least 1.

        Raises:
            InvalidVector: the query is no vector, or not of the collection's dimension.
            InvalidSetting: the chunk size is out of range.
        """
        options: SearchOptions = {"max_distance": max_distance, "min_distance": min_distance}
        options["with_embedding"] = with_embedding
        return stream_hits(self.session, self._subject, query, where=where, chunk_size=chunk_size, **options)

    async def _begin_to_build(self) -> None:
        """Keep everybody else from building indexes of the collection until the transaction ends."""
        with mapped_errors():
            # Two who create the same index at once are an error to one of them, IF NOT EXISTS or not.
            await (await self._connection()).execute(statements.lock_first_load(self._collection.id))
            await AsyncCollectionRepository(self.session).keep_builders_off(self._collection)

    @property
    def _collection(self) -> Collection:
        return at_hand(self.collection)

    async def _connection(self) -> AsyncConnection:
        return await self.session.connection(bind_arguments={"mapper": Document})
