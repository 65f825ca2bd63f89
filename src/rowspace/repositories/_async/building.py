"""Building indexes: the one exception to the rule that repositories never open a connection.

CREATE INDEX CONCURRENTLY and similar statements cannot run inside a transaction, and the progress of a build can only
be seen from another connection. So an index builder takes an engine, and uses connections of its own in autocommit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any

from sqlalchemy import func, select, table as sql_table
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm.attributes import set_committed_value

from rowspace.diagnosis import IndexStatus, WatchBuild
from rowspace.errors import CollectionNotFound, ConfigurationError, mapped_errors, sqlstate_of
from rowspace.models import Collection, Document
from rowspace.repositories._async.verbatim import run_verbatim
from rowspace.repositories.background import arun_watched, line_of
from rowspace.repositories.building import (
    Decide,
    Step,
    check_alone,
    clustering,
    creation,
    key_removal,
    planned_for,
    planned_key_of,
    removal,
    renewal,
    repair,
)
from rowspace.repositories.keys import KeyLike, key_of
from rowspace.repositories.schemas import schemas_of
from rowspace.statements import catalog, documents
from rowspace.statements.browse import Key, is_used
from rowspace.statements.indexing import build_settings

__all__ = ["AsyncIndexBuilder"]

#: The number of seconds between two progress queries.
_EVERY = 0.5

#: The SQLSTATEs for a missing privilege and for a read-only server, after which no build has started.
_REFUSED = {"42501", "25006"}


class AsyncIndexBuilder:
    """Builds, watches, repairs and drops the indexes of a model's table or of a collection.

    Each call takes one or two connections from the engine and returns them when it ends. It is independent of the
    caller's transactions, and cannot be rolled back. It needs a direct connection or PgBouncer's session mode: in
    transaction mode, the settings of a build would leak to other clients.

    Args:
        engine: a SQLAlchemy async engine, of a role that owns the table.
        over: a declarative class, for its HNSW and IVFFlat indexes; or a collection, for its vector, metadata and text
            indexes and those on metadata keys.

    Raises:
        ConfigurationError: the class declares no vector index, or one without a name.
    """

    def __init__(self, engine: AsyncEngine, over: type[Any] | Collection) -> None:
        self._engine = engine
        self._over = over
        self._model = Document if isinstance(over, Collection) else over
        self._planned = planned_for(over, schemas_of(engine))

    async def status(self) -> list[IndexStatus]:
        """Return every index of the table, and the declared ones that are missing; costs a catalog query."""
        with mapped_errors():
            async with self._engine.connect() as connection:
                return catalog.statuses(await self._facts(connection), self._planned)

    async def create(
        self,
        *,
        concurrently: bool = True,
        maintenance_work_mem: str | None = None,
        parallel_workers: int | None = None,
        progress: WatchBuild | None = None,
    ) -> list[IndexStatus]:
        """Build the missing indexes, rebuild those that a failed build left INVALID, and return the status.

        Costs one build per index. With `concurrently`, a build makes two passes over the table and waits for every
        older transaction; without it, the build is faster, but writers wait. An HNSW build that outgrows
        `maintenance_work_mem` becomes several times slower.

        Args:
            concurrently: do not block writers.
            maintenance_work_mem: memory for each build, such as "1GB"; None keeps the server's setting.
            parallel_workers: worker processes besides the leader, 0 to 1024; None keeps the server's setting.
            progress: called with a `BuildProgress` every half second; an exception that it raises cancels the build.

        Raises:
            ConfigurationError: a different index has that name, or another session is building indexes of the table.
            InvalidSetting: a setting is out of range.
        """
        settings = build_settings(maintenance_work_mem, parallel_workers)
        await self._run(partial(creation, concurrently=concurrently), settings, progress)
        return await self.status()

    async def repair(
        self, *, concurrently: bool = True, maintenance_work_mem: str | None = None, progress: WatchBuild | None = None
    ) -> list[IndexStatus]:
        """Rebuild declared indexes that are INVALID, drop other INVALID ones, and return the status.

        A failed REINDEX or `create_key_index` leaves such indexes behind. Costs what `create` costs, for each of them.
        The arguments are those of `create`.
        """
        settings = build_settings(maintenance_work_mem, None)
        await self._run(partial(repair, concurrently=concurrently), settings, progress)
        return await self.status()

    async def reindex(
        self,
        *names: str,
        concurrently: bool = True,
        maintenance_work_mem: str | None = None,
        parallel_workers: int | None = None,
        progress: WatchBuild | None = None,
    ) -> list[IndexStatus]:
        """Rebuild vector indexes, for example after many rows have changed; searches use the old index meanwhile.

        Costs what `create` costs, and temporarily the disk space of a second index.

        Args:
            names: the names of the indexes; by default every declared vector index.
            concurrently: do not block writers, and keep the old index until the new one is valid.
            maintenance_work_mem: as for `create`.
            parallel_workers: as for `create`.
            progress: as for `create`.

        Raises:
            ConfigurationError: there is no such index.
        """
        settings = build_settings(maintenance_work_mem, parallel_workers)
        await self._run(partial(renewal, names=names, concurrently=concurrently), settings, progress)
        return await self.status()

    async def drop(self, *names: str, concurrently: bool = True) -> None:
        """Drop vector indexes, by default every declared one; an index that does not exist is ignored.

        Costs a wait for the searches that use it. Searches then become a pass over the rows that match.

        Raises:
            ConfigurationError: no declared index has that name.
        """
        await self._run(partial(removal, names=names, concurrently=concurrently), build_settings(None, None), None)

    async def create_key_index(
        self,
        key: str,
        *,
        concurrently: bool = True,
        maintenance_work_mem: str | None = None,
        progress: WatchBuild | None = None,
    ) -> list[IndexStatus]:
        """Build an index on one metadata key of a collection, have its filters use it, and return the status.

        It serves `$eq`, `$gt`, `$gte`, `$lt`, `$lte` and `$between` with a number or a text of fewer than 200
        characters, which includes dates. The index on the whole metadata serves equality anyway, but not ranges:
        without an index on the key, each search by a range reads rows that do not match. Costs a sort of the values, an
        entry for each row, and what `create` costs besides the build.

        Args:
            key: a metadata key, written as in a filter.
            concurrently: as for `create`.
            maintenance_work_mem: as for `create`.
            progress: as for `create`.

        Raises:
            ConfigurationError: over a model; or as in `create`.
            InvalidFilter: the key is malformed.
            CollectionNotFound: the collection was dropped since it was looked up.
        """
        plan = planned_key_of(self._over, key, schemas_of(self._engine))
        settings = build_settings(maintenance_work_mem, None)
        await self._run(lambda _, facts: creation([plan], facts, concurrently=concurrently), settings, progress)
        # Only now that it exists: until then, equalities would have no index.
        await self._note(documents.index_key, key)
        return await self.status()

    async def drop_key_index(self, key: str, *, concurrently: bool = True) -> None:
        """Drop the index on one metadata key of a collection, and have its filters no longer use it.

        Costs a wait for the searches that use it. A filter by a range of the key then reads rows that do not match.

        Raises:
            ConfigurationError: the builder is over a model, there is no such index, or another session is building
                indexes of the table.
            InvalidFilter: the key is malformed.
            CollectionNotFound: the collection was dropped since it was looked up.
        """
        plan = planned_key_of(self._over, key, schemas_of(self._engine))
        wanted = plan in self._planned
        await self._note(documents.unindex_key, key)
        decide = partial(key_removal, plan=plan, wanted=wanted, concurrently=concurrently)
        await self._run(decide, build_settings(None, None), None)

    async def _note(self, change: Callable[[int, str], Any], key: str) -> None:
        """Record in the collection whether a key has an index, and refresh this object."""
        collection: Any = self._over
        with mapped_errors():
            async with self._engine.begin() as connection:
                await connection.execute(change(collection.id, key))
                keys = await connection.scalar(documents.indexed_keys(collection.id))
        if keys is None:
            raise CollectionNotFound.dropped(collection.name)
        set_committed_value(collection, "indexed_keys", keys)
        self._planned = planned_for(collection, schemas_of(self._engine))

    async def cluster(self, key: KeyLike, *, maintenance_work_mem: str | None = None) -> list[IndexStatus]:
        """Store rows with the same value of a key next to each other, and return the status.

        A filter finds its rows by an index and then reads the page of each row. If the rows of one tenant, file or day
        lie together, they fill few pages, and a search under a filter on the key reads a fraction of what it read
        before: a page holds seven rows of 256 dimensions, or one of 1,000 and more. Rows that are added later go
        wherever there is room: call this again when there are many.

        Costs a sort, a rewrite of the table and a build of each of its indexes, and the disk space of all of them next
        to the old ones. The table cannot be read or written meanwhile. Before that, the call waits for every
        transaction that has used the table, holding up others for half a second at most. Source: PostgreSQL manual,
        "CLUSTER".

        Args:
            key: a metadata key, written as in a filter, or a column as an attribute of the model. Metadata values are
                ordered with numbers first, as numbers, then all others by their first 200 characters.
            maintenance_work_mem: memory for the sort and for each build, such as "1GB"; None keeps the server's
                setting.

        Raises:
            ConfigurationError: the model has no such column, no row has the metadata key, or another session is
                building indexes of the table.
            InvalidFilter: the metadata key is malformed.
            InvalidSetting: a setting is out of range.
            TransactionConflict: transactions that use the table stayed open for two minutes.
        """
        by, settings = key_of(self._model, key), build_settings(maintenance_work_mem, None)
        if by.path:
            await self._refuse_unused(by)
        await self._run(partial(clustering, key=by), settings, None)
        return await self.status()

    async def _refuse_unused(self, key: Key) -> None:
        """Refuse a metadata key that no row has, since a mistyped key would rewrite the whole table for nothing."""
        own = [Document.collection_id == self._over.id] if isinstance(self._over, Collection) else []
        with mapped_errors():
            async with self._engine.connect() as connection:
                used = await connection.scalar(is_used(key).where(*own))
        if used is False:
            message = f"No row has the key {'.'.join(key.path)!r}, so there is nothing to cluster. Check its spelling."
            raise ConfigurationError(message)

    async def _facts(self, connection: Any) -> list[catalog.IndexFact]:
        return catalog.facts_of(await connection.execute(catalog.index_facts(*self._table)))

    @property
    def _table(self) -> tuple[str, str | None]:
        return self._planned[0].table, self._planned[0].schema

    async def _steps(self, connection: Any, decide: Decide) -> Sequence[Step]:
        """Return the steps to take, with `lists` derived from the row count for an index that leaves it open."""
        facts = await self._facts(connection)
        steps = decide(self._planned, facts)
        # An existing index keeps its lists, whatever the number of rows is now.
        made = {step.index for step in steps if step.builds}
        left_open = made & {plan.name for plan in self._planned if plan.unsized}
        if not left_open:
            return steps
        name, schema = self._table
        rows = await connection.scalar(select(func.count()).select_from(sql_table(name, schema=schema)))
        sized = [plan.sized(rows) if plan.name in left_open else plan for plan in self._planned]
        return decide(sized, facts)

    async def _run(self, decide: Decide, settings: Sequence[str], progress: WatchBuild | None) -> None:
        with mapped_errors():
            async with self._engine.connect() as connection:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                try:
                    check_alone(self._table, alone=await connection.scalar(catalog.build_lock(*self._table)))
                    await run_verbatim(connection, settings)
                    for step in await self._steps(connection, decide):
                        await self._watch(connection, step, progress)
                finally:
                    await self._close(connection)

    async def _close(self, connection: Any) -> None:
        """Close a connection, so that its settings and its lock do not reach the next user of the pool."""
        try:
            # The server notices a closed connection a little later, and another build may start immediately.
            with suppress(SQLAlchemyError):
                await connection.execute(catalog.BUILD_UNLOCK)
        finally:
            await connection.invalidate()

    async def _watch(self, connection: Any, step: Step, progress: WatchBuild | None) -> None:
        pid = (await connection.execute(catalog.BACKEND)).scalar_one()
        began = monotonic()

        async def look() -> None:
            if progress is not None and step.builds:
                rows = await self._aside(catalog.PROGRESS.bindparams(pid=pid))
                progress(catalog.progress_of(step.index, rows[0] if rows else None, monotonic() - began))

        try:
            await arun_watched(
                partial(run_verbatim, connection, [step.statement]),
                look,
                cancel=partial(self._aside, catalog.CANCEL.bindparams(pid=pid)),
                hang_up=line_of(connection),
                every=_EVERY,
            )
        except BaseException as error:
            if step.builds and sqlstate_of(getattr(error, "orig", None)) not in _REFUSED:
                error.add_note(
                    f"The build of {step.index} did not finish and may have left it INVALID. To repair it, run "
                    "`rowspace index repair` or IndexBuilder.repair()."
                )
            raise

    async def _aside(self, statement: Any) -> list[Any]:
        async with self._engine.connect() as connection:
            return [*(await connection.execute(statement)).mappings()]
