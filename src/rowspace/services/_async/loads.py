"""A load of documents, from its start or from where it was interrupted."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.errors import ConfigurationError
from rowspace.models import Collection
from rowspace.repositories import AsyncCollectionRepository, AsyncDocumentRepository
from rowspace.repositories._async.dropped import refuse_dropped
from rowspace.repositories._async.loading import unsearchable
from rowspace.repositories._async.progress import AsyncProgressRepository
from rowspace.repositories.batches import aiter_rows, atake
from rowspace.results import LoadReport
from rowspace.services._async.sessions import begin
from rowspace.services.embedding import Embedder, aembed_texts, check_dimension, check_embedder, embedder_name
from rowspace.services.incoming import Given, long_texts
from rowspace.services.loading import (
    NOT_INDEXED,
    Batch,
    Load,
    LoadOptions,
    checked_key,
    checked_options,
    log,
)

__all__ = ["AsyncLoader", "open_documents"]


class AsyncLoader:
    """One load.

    Args:
        sessions: what a service takes sessions from.
        embedder: that of the service.
        collection: the name of the collection.
        load: the state of the load.
        options: the caller's options; an unknown one raises `TypeError`.
    """

    def __init__(
        self, sessions: Any, embedder: Embedder | None, collection: str, *, load: Load, options: LoadOptions
    ) -> None:
        self._sessions = sessions
        self._embedder = embedder
        self._collection = collection
        self._load = load
        self._options = checked_options(options)

    async def run(self, documents: Iterable[Given] | AsyncIterable[Given], resume: str | None) -> LoadReport:
        """Write all documents and return the report."""
        source, size = aiter_rows(documents), self._options["batch_size"]
        if resume is not None:
            await self._pass_over(source, checked_key(resume))
        if resume is not None or self._options["commit_batches"]:
            while given := await atake(source, size):
                await self._commit(given, resume)
            async with begin(self._sessions) as session:
                await self._finish(await open_documents(session, self._collection), resume)
        else:
            # Before taking a connection: the source may be a client that sends slowly.
            given = await atake(source, size)
            async with begin(self._sessions) as session:
                repository = await open_documents(session, self._collection)
                while given:
                    batch = await self._compared(repository, given)
                    await self._write(repository, batch, await self._embed(batch))
                    given = await atake(source, size)
                await self._finish(repository)
        return self._load.report

    async def _pass_over(self, source: AsyncIterator[Given], key: str) -> None:
        """Skip the documents that an interrupted load has read, and verify that they are the same."""
        async with begin(self._sessions) as session:
            collection = (await open_documents(session, self._collection)).collection
            found = await AsyncProgressRepository(session, collection).get(key)
        if found is None:
            return
        left = found.state["report"]["received"]
        while left and (given := await atake(source, min(self._options["batch_size"], left))):
            left -= len(given)
            if long_texts(given):
                async with begin(self._sessions) as session:
                    batch = await self._batch(await open_documents(session, self._collection), given)
            else:
                batch = self._load.batch(given, collection.dimension, half=_is_half(collection))
            self._load.passed_over(batch)
        try:
            self._load.continue_from(found.state, found.digest)
        except ConfigurationError:
            async with begin(self._sessions) as session:
                await AsyncProgressRepository(session, collection).forget(key)
            raise

    async def _commit(self, given: list[Given], resume: str | None) -> None:
        """Write documents in a separate transaction, which is not open while they are embedded."""
        async with begin(self._sessions) as session:
            repository = await open_documents(session, self._collection)
            batch = await self._compared(repository, given)
            if not batch.to_embed():
                await self._write(repository, batch, {}, resume)
                return
        embeddings = await self._embed(batch)
        async with begin(self._sessions) as session:
            await self._write(await open_documents(session, self._collection), batch, embeddings, resume)

    async def _compared(self, repository: AsyncDocumentRepository, given: list[Given]) -> Batch:
        """Return the next documents as a batch, compared with the stored ones and checked against the embedder."""
        batch = await self._batch(repository, given)
        batch.compare(await repository.fingerprints(batch.comparable) if batch.comparable else {})
        if batch.to_embed():
            check_embedder(repository.collection, self._embedder)
        return batch

    async def _write(
        self,
        repository: AsyncDocumentRepository,
        batch: Batch,
        embeddings: Mapping[str, Any],
        resume: str | None = None,
    ) -> None:
        load = self._load
        if embeddings:
            await self._claim(repository, embeddings)
        if load.was_empty is None:
            # After embedding the texts, which may take long, because another first load waits from here on.
            builds = self._options["build_indexes"]
            load.was_empty = await (repository.begin_first_load() if builds else repository.is_empty())
        rows, fresh = batch.rows(embeddings), load.was_empty and batch.is_new
        written = await repository.upsert(rows, batch_size=len(batch.documents) or 1, fresh=fresh)
        # Another load may have stored another text since they were compared; its metadata is then kept.
        await repository.replace_metadata(batch.metadata_changes(), digests=batch.same_texts())
        report = batch.report(written)
        if resume is not None:
            before, after = load.digest, load.sign(batch)
            progress = AsyncProgressRepository(repository.session, repository.collection)
            await progress.record(resume, before, after, load.state(report))
        load.done(report)

    async def _batch(self, repository: AsyncDocumentRepository, given: list[Given]) -> Batch:
        """Return the next documents, without texts that cannot be indexed, which would fail the whole load."""
        collection, long, refused = repository.collection, long_texts(given), {}
        if long:
            refused = await unsearchable(repository.session, collection.language, long)
        return self._load.batch(given, collection.dimension, refused, half=_is_half(collection))

    async def _embed(self, batch: Batch) -> dict[str, Any]:
        texts = batch.to_embed()
        if not texts:
            return {}
        # A text with several ids is embedded once.
        unique = list(dict.fromkeys(texts.values()))
        made = dict(zip(unique, await aembed_texts(self._embedder, unique), strict=True))
        return {id_: made[text] for id_, text in texts.items()}

    async def _claim(self, repository: AsyncDocumentRepository, embeddings: Mapping[str, Any]) -> None:
        """Check that the collection is for this embedder, and record its name if there is none yet."""
        collection = repository.collection
        check_embedder(collection, self._embedder)
        check_dimension(collection, self._embedder, next(iter(embeddings.values())))
        if collection.embedder is None:
            # Locked, because another load of the same new collection may have been first, with another embedder.
            await AsyncCollectionRepository(repository.session).lock(collection, ["embedder"])
            check_embedder(collection, self._embedder)
            collection.embedder = embedder_name(self._embedder)

    async def _finish(self, repository: AsyncDocumentRepository, resume: str | None = None) -> None:
        if self._options["build_indexes"] and await self._wants_indexes(repository):
            await self._build_indexes(repository)
        if resume is not None:
            await AsyncProgressRepository(repository.session, repository.collection).forget(resume)

    async def _build_indexes(self, repository: AsyncDocumentRepository) -> None:
        # Storing the rows is what matters: for a role that may only write them, searches work without an index.
        if await AsyncCollectionRepository(repository.session).is_owned(repository.collection):
            await repository.create_indexes()
        else:
            await refuse_dropped(repository.session, repository.collection)
            log.warning(NOT_INDEXED, self._collection)

    async def _wants_indexes(self, repository: AsyncDocumentRepository) -> bool:
        """Return whether this was the first load, or a retry of one that committed its batches."""
        if self._load.was_empty:
            return self._load.report.written > 0
        if not self._options["commit_batches"] or not self._load.report.received:
            return False
        return not await AsyncCollectionRepository(repository.session).is_indexed(repository.collection)


def _is_half(collection: Collection) -> bool:
    return bool(collection.index.get("quantize") == "halfvec")


async def open_documents(session: AsyncSession, collection: str) -> AsyncDocumentRepository:
    """Return the repository of the documents of a collection."""
    return AsyncDocumentRepository(session, await AsyncCollectionRepository(session).get(collection))
