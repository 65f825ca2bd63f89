"""The repository of collections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.distance import Distance, DistanceName
from rowspace.errors import CollectionNotFound, mapped_errors
from rowspace.indexes import IndexName, Spec, to_dict
from rowspace.models import Collection, Document
from rowspace.repositories._async.policies import guards_of
from rowspace.repositories._async.verbatim import run_verbatim
from rowspace.repositories.building import check_alone
from rowspace.repositories.given import AsyncAnySession, is_text, mapping, session_of
from rowspace.repositories.naming import check_collection, check_keys, check_language, unless_taken
from rowspace.repositories.schemas import partition_of, schemas_of
from rowspace.statements import documents as statements
from rowspace.statements.admin import Partition
from rowspace.statements.catalog import facts_of, index_facts, is_owned, keeps_builders_off, schema_of
from rowspace.statements.locks import patiently
from rowspace.statements.replacement import Replacement
from rowspace.wire.interrupted import interruptible_async
from rowspace.wire.values import storable_json

__all__ = ["AsyncCollectionRepository"]


class AsyncCollectionRepository:
    """Collections, in the caller's session and transaction.

    Args:
        session: a SQLAlchemy async session.
    """

    def __init__(self, session: AsyncAnySession) -> None:
        self.session: AsyncSession = session_of(session, AsyncSession)

    async def create(
        self,
        name: str,
        dimension: int,
        *,
        distance: Distance | DistanceName = Distance.COSINE,
        index: Spec | IndexName | None = "hnsw",
        language: str = "simple",
        embedder: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        indexed_keys: Sequence[str] = (),
    ) -> Collection:
        """Create a collection and its partition of `documents`; other collections stay readable and writable.

        Costs a row, and a table with its primary key. Others who create or drop a collection wait until this
        transaction ends.

        Args:
            name: 1 to 200 characters.
            dimension: length of each embedding, 1 to 16000.
            distance: l2, cosine, inner_product or l1.
            index: the vector index for `create_indexes` to build; `"hnsw"` for the defaults, None for no index.
            language: the text-search configuration, such as `simple` or `english`.
            embedder: the name of the embedder, if known.
            metadata: any JSON object, stored with the collection.
            indexed_keys: metadata keys, written as in a filter; `create_indexes` builds an index on each, which serves
                filters by a range of numbers, dates or texts.

        Raises:
            CollectionExists: the name is taken.
            ConfigurationError: a value is out of range, the index cannot hold the vectors, or the server does not have
                the language.
            InvalidFilter: a key is malformed.
            InvalidText, InvalidRow: the metadata cannot be stored as JSONB.
        """
        metric, spec = check_collection(name, dimension, distance, index)
        collection = Collection(
            name=name,
            # Converted to int, because drivers do not accept NumPy's integers.
            dimension=int(dimension),
            distance=metric.value,
            language=language,
            index=to_dict(spec),
            embedder=embedder,
            meta=storable_json(mapping("metadata", {} if metadata is None else metadata)),
            indexed_keys=check_keys(indexed_keys),
        )
        with mapped_errors():
            await self._check_language(language)
            # In a savepoint, so that an existing name does not abort the caller's transaction.
            with unless_taken(name):
                async with interruptible_async(self.session.begin_nested()):
                    self.session.add(collection)
        await self.create_tables(collection)
        return collection

    async def _check_language(self, language: str) -> None:
        # Every server has `simple`, so checking for it would waste a round trip.
        if language != "simple":
            check_language(language, [*await (await self._connection()).scalars(statements.languages())])

    async def get(self, name: str) -> Collection:
        """Return a collection by name; costs one row.

        Raises:
            CollectionNotFound: there is no collection of that name.
        """
        found = None
        if is_text(name):
            with mapped_errors():
                found = await self.session.scalar(statements.collection_by_name(name))
        if found is None:
            message = f"There is no collection {name!r}."
            raise CollectionNotFound(message)
        return found

    async def list(self) -> list[Collection]:
        """Return all collections in order of their names; costs one row each."""
        with mapped_errors():
            return [*await self.session.scalars(statements.collections())]

    async def counts(self, ids: Sequence[int]) -> dict[int, int]:
        """Return the number of documents in each collection that has any, by collection id; costs a pass over them."""
        with mapped_errors():
            rows = await self.session.execute(statements.counts(ids))
        return {row[0]: row[1] for row in rows}

    async def rename(self, name: str, new_name: str) -> Collection:
        """Rename a collection; costs one row, since the name is stored nowhere else.

        Raises:
            CollectionNotFound: there is no collection of that name.
            CollectionExists: the new name is taken.
        """
        collection = await self.get(name)
        check_collection(new_name, collection.dimension, collection.metric, None)
        # Another transaction may be dropping it; the session would raise its own error for a missing row.
        await self.lock(collection, ["name"])
        with mapped_errors(), unless_taken(new_name):
            async with interruptible_async(self.session.begin_nested()):
                collection.name = new_name
        return collection

    async def drop(self, name: str) -> None:
        """Drop a collection with all its documents; costs one DROP TABLE, however many there are.

        The DROP waits for every transaction that has read or written documents of any collection; see `drop_tables`.
        After it, nobody else can read or write documents until this transaction ends, so make it the last step.

        Raises:
            CollectionNotFound: there is none of that name.
            ConfigurationError: an `IndexBuilder` is working on the collection.
            TransactionConflict: other transactions stayed open for two minutes.
        """
        collection = await self.get(name)
        await self.drop_tables(collection)
        with mapped_errors():
            # A concurrent drop has waited for the table.
            there = await self.session.get(Collection, collection.id, populate_existing=True)
            if there is None:
                message = f"There is no collection {name!r}."
                raise CollectionNotFound(message)
            await self.session.delete(there)
            await self.session.flush()

    async def lock(self, collection: Collection, names: Sequence[str]) -> None:
        """Refresh attributes of a collection, and lock its row until the transaction ends.

        A load that records its progress meanwhile does not wait, since it refers to the key alone. Costs two statements
        of one row, and the wait for the lock.

        Raises:
            CollectionNotFound: the collection has been dropped.
        """
        with mapped_errors():
            if await self.session.scalar(statements.lock_collection(collection.id)) is None:
                raise CollectionNotFound.dropped(collection.name)
            await self.session.refresh(collection, names)

    async def keep_builders_off(self, collection: Collection) -> None:
        """Make sure that no `IndexBuilder` works on a collection until the transaction ends.

        A concurrent build waits for all older transactions, hence also for one that waits for the build; if that one
        retries its locks, neither ever ends. Costs one row.

        Raises:
            ConfigurationError: one is.
        """
        with mapped_errors():
            partition = await self.partition_of(collection)
            table = (partition.name, partition.schema)
            check_alone(table, alone=await (await self._connection()).scalar(keeps_builders_off(*table)))

    async def create_tables(self, collection: Collection) -> None:
        """Create the partition of a collection whose row exists; costs a table with its primary key."""
        with mapped_errors():
            partition = await self.new_partition_of(collection)
            guards = await guards_of(self.session, partition)
            await run_verbatim(await self._connection(), [*partition.create(), *guards])

    async def drop_tables(self, collection: Collection) -> None:
        """Drop the partition of a collection and the tables of a re-embedding; the caller deletes the collection's row.

        Costs one or two DROP TABLE, and a wait for every transaction that has read or written documents of any
        collection. While it waits, it holds up others for half a second at most: then it lets them through and tries
        again.

        Raises:
            ConfigurationError: an `IndexBuilder` is working on the collection.
            TransactionConflict: the lock could not be had within two minutes.
        """
        await self.keep_builders_off(collection)
        with mapped_errors():
            partition = await self.partition_of(collection)
            # The row first, because loads and re-embeddings lock it before they access the documents. The tables of a
            # re-embedding are dropped in any case, because one may have started since `collection` was loaded.
            drops = [partition.hold(), partition.drop(), *Replacement(partition).drop()]
            dropped = patiently(drops, "documents of any collection")
            await run_verbatim(await self._connection(), [dropped])

    async def is_owned(self, collection: Collection) -> bool:
        """Return whether this role owns the table of a collection, and so may build its indexes; costs one row."""
        with mapped_errors():
            partition = await self.partition_of(collection)
            return bool(await (await self._connection()).scalar(is_owned(partition.qualified)))

    async def is_indexed(self, collection: Collection) -> bool:
        """Return whether the partition has any index besides the primary key; costs a catalog query."""
        with mapped_errors():
            partition = await self.partition_of(collection)
            rows = await (await self._connection()).execute(index_facts(partition.name, partition.schema))
            return any(fact.name != partition.key for fact in facts_of(rows))

    async def partition_of(self, collection: Collection) -> Partition:
        """Return the partition that holds a collection's documents; costs no statement."""
        return partition_of(collection, schemas_of(await self._connection()))

    async def new_partition_of(self, collection: Collection) -> Partition:
        """Return the partition with its schema, for statements that create it; costs a catalog query.

        Without a schema, PostgreSQL creates a table in the first schema of the search path, and `documents` may be in
        another.
        """
        partition = await self.partition_of(collection)
        if partition.schema is not None:
            return partition
        found = await (await self._connection()).scalar(schema_of(Document.__tablename__))
        return replace(partition, schema=found)

    async def _connection(self) -> Any:
        return await self.session.connection(bind_arguments={"mapper": Document})
