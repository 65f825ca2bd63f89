"""A re-embedding, from its start or from where it was interrupted, to the swap."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from rowspace.errors import TransactionConflict
from rowspace.indexes import Spec
from rowspace.repositories import AsyncCollectionRepository, AsyncReembedRepository
from rowspace.results import Reembedded
from rowspace.services._async.sessions import begin
from rowspace.services.embedding import aembed_texts, embedder_name
from rowspace.services.reembedding import PutOff, WatchReembedding

__all__ = ["AsyncReembedder"]

#: The number of attempts to lock for the swap, half a second each, with half a second for others in between.
TRIES = 120
#: The number of attempts after which the last changes are embedded under the lock, if new ones keep arriving.
_PATIENT_TRIES = 4
_PAUSE = 0.5


class AsyncReembedder:
    """One re-embedding: each step is a separate transaction, and none is open while the embedder works.

    Args:
        sessions: what a service takes sessions from.
        collection: its name.
        embedder: makes the new embeddings.
        batch_size: number of documents embedded and written at once.
        progress: called after each batch.
    """

    def __init__(
        self,
        sessions: Any,
        collection: str,
        embedder: Any,
        *,
        batch_size: int,
        progress: WatchReembedding | None,
    ) -> None:
        self._sessions = sessions
        self._name = collection
        self._embedder = embedder
        self._size = batch_size
        self._progress = progress

    async def run(self, dimension: int, index: Spec | None) -> None:
        """Fill, index, catch up and swap."""
        self._aim = (embedder_name(self._embedder), dimension)
        async with begin(self._sessions) as session:
            await (await self._repository(session)).begin(*self._aim, index)
        async with begin(self._sessions) as session:
            done, total = await (await self._open(session)).counts()
        self._tell("embedding", done, total)
        while rows := await self._rest():
            await self._store(rows)
            done += len(rows)
            self._tell("embedding", done, max(done, total))
        self._tell("indexing", done, max(done, total))
        async with begin(self._sessions) as session:
            await (await self._open(session)).create_indexes()
        await self._swap(done, max(done, total))
        self._tell("done", done, done)

    async def _rest(self) -> list[tuple[str, str]]:
        async with begin(self._sessions) as session:
            return await (await self._open(session)).rest(self._size)

    async def _store(self, rows: list[tuple[str, str]], changes: Any = ()) -> None:
        embeddings = await self._embed(rows)
        async with begin(self._sessions) as session:
            repository = await self._open(session)
            await repository.store(rows, embeddings)
            if changes:
                await repository.settle(changes)

    async def _embed(self, rows: list[tuple[str, str]]) -> Any:
        return await aembed_texts(self._embedder, [content for _, content in rows]) if rows else []

    async def _swap(self, done: int, total: int) -> None:
        for attempt in range(TRIES):
            self._tell("catching up", done, total)
            await self._catch_up()
            self._tell("swapping", done, total)
            if await self._try_to_swap(embed=attempt >= _PATIENT_TRIES):
                return
            async with begin(self._sessions) as session:
                await session.execute(select(func.pg_sleep(_PAUSE)))
        message = (
            f"The new embeddings of {self._name!r} are ready, but the swap did not get its locks in {TRIES} attempts, "
            "because transactions that have read collections are still open. Find them in pg_stat_activity, end them "
            "and call reembed again, which embeds nothing twice."
        )
        raise TransactionConflict(message)

    async def _catch_up(self) -> None:
        """Apply recorded changes until fewer than a batch arrive meanwhile; a few may always arrive."""
        is_full = True
        while is_full:
            async with begin(self._sessions) as session:
                changes, rows = await (await self._open(session)).changed(self._size)
            is_full = len(changes) >= self._size
            if changes:
                await self._store(rows, changes)

    async def _try_to_swap(self, *, embed: bool) -> bool:
        """Swap, unless the locks are not available or, without `embed`, new texts have to be embedded."""
        try:
            async with begin(self._sessions) as session:
                await self._swap_locked(await self._repository(session), embed=embed)
        except PutOff:
            return False
        return True

    async def _swap_locked(self, repository: AsyncReembedRepository, *, embed: bool) -> None:
        if not await repository.lock():
            raise PutOff
        # Not earlier: a transaction that waits for this step has read `collections`, and the swap would wait for it.
        await repository.go_on(*self._aim)
        while (found := await repository.changed(self._size))[0]:
            changes, rows = found
            if rows and not embed:
                raise PutOff
            await repository.store(rows, await self._embed(rows))
            await repository.settle(changes)
        await repository.swap()

    async def _open(self, session: Any) -> AsyncReembedRepository:
        repository = await self._repository(session)
        await repository.go_on(*self._aim)
        return repository

    async def _repository(self, session: Any) -> AsyncReembedRepository:
        return AsyncReembedRepository(session, await AsyncCollectionRepository(session).get(self._name))

    def _tell(self, phase: str, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(Reembedded(phase, done, total))
