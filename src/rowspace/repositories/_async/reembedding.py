"""The repository of re-embedding: new embeddings for a collection's documents, next to the old ones until the swap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.errors import CollectionNotFound, ConfigurationError, TransactionConflict, mapped_errors, sqlstate_of
from rowspace.indexes import IVFFlat, Spec, from_dict, to_dict
from rowspace.models import Collection, Document
from rowspace.repositories._async.collections import AsyncCollectionRepository
from rowspace.repositories._async.loading import stage
from rowspace.repositories._async.policies import guards_of
from rowspace.repositories._async.verbatim import run_verbatim
from rowspace.repositories.batches import plan_load
from rowspace.repositories.given import AsyncAnySession, at_hand, session_of
from rowspace.repositories.schemas import schemas_of
from rowspace.statements.documents import lock_first_load
from rowspace.statements.locks import patiently
from rowspace.statements.replacement import Replacement, carry_over, obstacles

__all__ = ["AsyncReembedRepository"]


class AsyncReembedRepository:
    """The steps of a re-embedding, in the caller's session and transaction; `AsyncDocumentService.reembed` runs them.

    Run each step in a transaction of its own: an interrupted re-embedding continues from what is committed.

    Args:
        session: a SQLAlchemy async session whose role owns the collection's partition.
        collection: the collection, loaded by this session.
    """

    def __init__(self, session: AsyncAnySession, collection: Collection) -> None:
        self.session: AsyncSession = session_of(session, AsyncSession)
        self.collection = collection
        self._aim: Mapping[str, Any] = at_hand(collection).reembedding or {}

    async def begin(self, embedder: str, dimension: int, index: Spec | None) -> None:
        """Create the table for the new embeddings and start recording changes, or continue an unfinished run.

        Costs two empty tables and a wait for the collection's writers; from then on each write also records an id.

        Raises:
            ConfigurationError: the collection is being re-embedded by another embedder; its partition has a policy, a
                trigger or an index of somebody else's, which would be lost; or an `IndexBuilder` is working on it.
            PermissionDenied: the role does not own the partition or may not create tables, or row-level security may
                hide documents from it.
        """
        aim = {"embedder": embedder, "dimension": dimension, "index": to_dict(index)}
        with mapped_errors():
            # Locked, so that only one of two concurrent calls creates the tables.
            await AsyncCollectionRepository(self.session).lock(self.collection, ["reembedding", "index"])
            if self.collection.reembedding is not None:
                self._check_aim(self.collection.reembedding, embedder, dimension)
                return
            self._aim = aim
            await AsyncCollectionRepository(self.session).keep_builders_off(self.collection)
            await self._check_obstacles()
            made = await AsyncCollectionRepository(self.session).new_partition_of(self.collection)
            tables = Replacement(made, dimension)
            guards = await guards_of(self.session, tables.new)
            await run_verbatim(await self._connection(), [*tables.begin(), *guards])
            # Fails now if the role may not read all rows.
            await self.rest(0)
            self.collection.reembedding = aim
            await self.session.flush()

    async def go_on(self, embedder: str, dimension: int) -> None:
        """Check that the re-embedding is still the same, and lock it until the transaction ends.

        Two processes that re-embed at once wait for each other's steps. Costs two rows, and the wait.

        Raises:
            CollectionNotFound: the collection has been dropped.
            ConfigurationError: a re-embedding by another embedder has begun.
            TransactionConflict: another process has finished or abandoned the re-embedding.
        """
        with mapped_errors():
            await (await self._connection()).execute(lock_first_load(self.collection.id))
            there = await self.session.get(Collection, self.collection.id, populate_existing=True)
        if there is None:
            raise CollectionNotFound.dropped(self.collection.name)
        if self.collection.reembedding is None:
            message = (
                f"Another call has finished or abandoned the re-embedding of {self.collection.name!r}. Check the "
                "collection's embedder, and call reembed again if it is not the new one."
            )
            raise TransactionConflict(message)
        self._check_aim(self.collection.reembedding, embedder, dimension)
        self._aim = self.collection.reembedding

    async def counts(self) -> tuple[int, int]:
        """Return how many documents have a new embedding, and how many there are; costs a pass over both tables."""
        ((done, total),) = await self._rows((await self._tables()).counts())
        return done, total

    async def rest(self, limit: int) -> list[tuple[str, str]]:
        """Return id and content of the next documents to embed, none when all are done; costs a range of the ids."""
        return [tuple(row) for row in await self._rows((await self._tables()).rest(limit))]

    async def changed(self, limit: int) -> tuple[list[tuple[int, str]], list[tuple[str, str]]]:
        """Return changes that are not yet applied, with id and content of the documents among them to embed.

        Costs two statements over `limit` rows.
        """
        tables = await self._tables()
        changes = [(seq, id_) for seq, id_ in await self._rows(tables.changed(limit))]
        if not changes:
            return [], []
        # Read after the changes, so that all of them are visible.
        rows = await self._rows(tables.unembedded([id_ for _, id_ in changes]))
        return changes, [tuple(row) for row in rows]

    async def store(self, rows: Sequence[tuple[str, str]], embeddings: Any) -> None:
        """Store new embeddings of documents whose content is still the text that was embedded; skip the others.

        Costs a COPY into a staging table and a statement that joins it.

        Args:
            rows: id and content of each.
            embeddings: a matrix of shape (len(rows), dimension).
        """
        if not rows:
            return
        names, tables = ("id", "content", "embedding"), await self._tables()
        options: dict[str, Any] = {"constants": {"collection_id": self.collection.id}, "dimension": tables.dimension}
        given = [dict(zip(names, (*row, vector), strict=True)) for row, vector in zip(rows, embeddings, strict=True)]
        with mapped_errors():
            connection = await self._connection()
            plan = plan_load(Document, names, schemas=schemas_of(connection), partition=tables.new.name, **options)
            await stage(connection, plan.merge, plan.encode(given, range(len(given))))
            await run_verbatim(connection, [tables.store(plan.merge.staged), plan.merge.drop_stage()])

    async def settle(self, changes: Sequence[tuple[int, str]]) -> None:
        """Apply the changes that need no embedding, such as deletions, and remove them from the record.

        Costs three statements over these rows.
        """
        with mapped_errors():
            connection = await self._connection()
            for statement in (await self._tables()).settle(changes):
                await connection.execute(statement)

    async def create_indexes(self) -> None:
        """Create the missing indexes of the new table, without affecting searches and writers.

        Costs what `DocumentRepository.create_indexes` costs.
        """
        with mapped_errors():
            connection = await self._connection()
            new = (await self._tables()).new
            indexes = new.create_indexes(await self._sized(), self.collection.language, self.collection.indexed_keys)
            await run_verbatim(connection, [*indexes, new.analyze()])

    async def lock(self) -> bool:
        """Lock the collection against all others until the transaction ends; return False if that takes too long.

        The transaction has then failed and must be rolled back. Costs half a second at most for each of two locks,
        during which searches of all collections may wait.
        """
        with mapped_errors():
            connection = await self._connection()
            try:
                await run_verbatim(connection, (await self._tables()).locks())
            except DBAPIError as error:
                if sqlstate_of(error.orig) not in {"55P03", "40P01"}:
                    raise
                return False
        return True

    async def swap(self) -> None:
        """Replace the old embeddings by the new ones; call it after `lock`. Costs no pass over any rows."""
        with mapped_errors():
            connection = await self._connection()
            tables = await self._tables()
            carried = [row[0] for row in await self._rows(carry_over(tables.old, tables.new))]
            spec, keys = from_dict(self._aim["index"]), self.collection.indexed_keys
            swaps = tables.swap(spec, self.collection.language, keys)
            await run_verbatim(connection, [*carried, *swaps])
            self.collection.dimension = self._aim["dimension"]
            self.collection.embedder = self._aim["embedder"]
            self.collection.index = self._aim["index"]
            self.collection.reembedding = None
            await self.session.flush()

    async def abandon(self) -> None:
        """Drop what a re-embedding has created so far, if anything; the collection stays as it is.

        Costs two DROP TABLE, and a wait for every transaction that has read or written the collection. It holds up
        others for half a second at most, like `CollectionRepository.drop_tables`.

        Raises:
            ConfigurationError: an `IndexBuilder` is working on the collection.
            TransactionConflict: the lock could not be had within two minutes.
        """
        if self.collection.reembedding is None:
            return
        await AsyncCollectionRepository(self.session).keep_builders_off(self.collection)
        with mapped_errors():
            abandoned = patiently((await self._tables()).abandon(), self.collection.partition)
            await run_verbatim(await self._connection(), [abandoned])
            self.collection.reembedding = None
            await self.session.flush()

    def _check_aim(self, aim: Mapping[str, Any], embedder: str, dimension: int) -> None:
        if (aim["embedder"], aim["dimension"]) != (embedder, dimension):
            message = (
                f"The collection {self.collection.name!r} is being re-embedded by {aim['embedder']!r} "
                f"({aim['dimension']} dimensions), not by {embedder!r} ({dimension}). Continue with that embedder, or "
                "first abandon it: ReembedRepository(session, collection).abandon(), `rowspace reembed --abandon`."
            )
            raise ConfigurationError(message)

    async def _check_obstacles(self) -> None:
        partition = (await self._tables()).old
        spec, keys = from_dict(self.collection.index), self.collection.indexed_keys
        own = partition.indexes(spec, self.collection.language, keys)
        known = {plan.name for plan in own} | {f"ix_{partition.name}_embedding"}
        found = [f"{kind} {name}" for kind, name in await self._rows(obstacles(partition)) if name not in known]
        if found:
            message = (
                f"The partition {partition.name} of {self.collection.name!r} has objects that the new one would lose: "
                f"{', '.join(sorted(found))}. Drop them, re-embed, and create them again."
            )
            raise ConfigurationError(message)

    async def _sized(self) -> Spec | None:
        spec = from_dict(self._aim["index"])
        return spec.sized((await self.counts())[0]) if isinstance(spec, IVFFlat) else spec

    async def _tables(self) -> Replacement:
        with mapped_errors():
            # An error instead of fewer rows: a document hidden by a policy would be missing from the new table.
            await run_verbatim(await self._connection(), ["SET LOCAL row_security = off"])
            partition = await AsyncCollectionRepository(self.session).partition_of(self.collection)
        return Replacement(partition, self._aim.get("dimension", 1))

    async def _rows(self, statement: Any) -> list[Any]:
        with mapped_errors():
            return [*await self.session.execute(statement, bind_arguments={"mapper": Document})]

    async def _connection(self) -> Any:
        return await self.session.connection(bind_arguments={"mapper": Document})
