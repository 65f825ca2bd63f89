"""Building indexes: the one exception to the rule that nothing here opens a connection.

CREATE INDEX CONCURRENTLY and its like cannot run inside a transaction, and a build's progress can only be seen from
another connection. So an index builder takes an engine, and uses connections of its own in autocommit.
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

#: Seconds between two looks at a build, and calls of `progress`.
_EVERY = 0.5

#: The SQLSTATEs of who may not build, and of a server that only reads: nothing was begun.
_REFUSED = {"42501", "25006"}


class AsyncIndexBuilder:
    """The indexes of a model's table or of a collection: made, watched, repaired and dropped.

    Each call takes one or two connections of the engine and gives them back at its end. It neither sees nor ends any
    transaction of the caller, and what it does cannot be rolled back. It needs a direct connection or a session pool:
    in PgBouncer's transaction mode the settings of the build would reach others.

    Args:
        engine: a SQLAlchemy async engine, of a role that owns the table.
        over: a declarative class, for its indexes by hnsw and ivfflat; or a collection, for its vector, metadata and
            text index, and those of metadata keys.

    Raises:
        ConfigurationError: the class has no vector index, or one without a name.
    """

    def __init__(self, engine: AsyncEngine, over: type[Any] | Collection) -> None:
        self._engine = engine
        self._over = over
        self._model = Document if isinstance(over, Collection) else over
        self._planned = planned_for(over, schemas_of(engine))

    async def status(self) -> list[IndexStatus]:
        """Return every index of the table, and those that are wanted but missing; costs a look into the catalogs."""
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
        """Make the indexes that are missing, and anew those that a failed build left INVALID; return the status.

        `concurrently` costs two passes over the table, and waits for every transaction that is older than it; without,
        the build is faster and writers wait for it. An HNSW build that outgrows `maintenance_work_mem` becomes several
        times slower.

        Args:
            concurrently: let writers go on meanwhile.
            maintenance_work_mem: memory of each build, such as "1GB"; None leaves the server's value.
            parallel_workers: processes beside the leader, 0 to 1024; None leaves the server's value.
            progress: called with a `BuildProgress` every half second; an error that it raises cancels the build.

        Raises:
            ConfigurationError: an index of that name is there and is another one, or somebody else is building indexes
                of the table.
            InvalidSetting: a setting that cannot be.
        """
        settings = build_settings(maintenance_work_mem, parallel_workers)
        await self._run(partial(creation, concurrently=concurrently), settings, progress)
        return await self.status()

    async def repair(
        self, *, concurrently: bool = True, maintenance_work_mem: str | None = None, progress: WatchBuild | None = None
    ) -> list[IndexStatus]:
        """Build INVALID indexes anew, drop those that nobody asks for, make nothing else; return the status.

        A failed REINDEX leaves such behind, and a failed `create_key_index`. Costs what `create` does, for each of
        them. The arguments are those of `create`.
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
        """Build vector indexes anew as they are, after many rows changed; searches go on with the old one meanwhile.

        Costs what `create` does, and the room of a second index meanwhile.

        Args:
            names: which ones; by default every vector index that is wanted.
            concurrently: let writers go on, and keep the old index until the new one is there.
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
        """Drop vector indexes, by default every one that is wanted; one that is not there is no error.

        Costs a wait for the searches that use it. From then on a search is a pass over the rows that match.

        Raises:
            ConfigurationError: a name that is not wanted.
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
        """Make an index on one metadata key of a collection, and have its filters use it; return the status.

        It serves `$eq`, `$gt`, `$gte`, `$lt`, `$lte` and `$between` with a number, or a text of fewer than 200
        characters, which dates are too. Equality has the index on the whole metadata anyhow; of a range that knows
        nothing, and each search reads rows that do not match. Costs a sort of the values, an entry for each row, and
        what `create` costs beside the build.

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
        # Now that it is there: an equality would have no index meanwhile.
        await self._note(documents.index_key, key)
        return await self.status()

    async def drop_key_index(self, key: str, *, concurrently: bool = True) -> None:
        """Have the filters of a collection use the index on one metadata key no more, and drop it.

        Costs a wait for the searches that use it. From then on a filter by a range of the key reads rows in vain.

        Raises:
            ConfigurationError: over a model, or there is no such index; or somebody else is building indexes of the
                table.
            InvalidFilter: the key is malformed.
            CollectionNotFound: the collection was dropped since it was looked up.
        """
        plan = planned_key_of(self._over, key, schemas_of(self._engine))
        wanted = plan in self._planned
        await self._note(documents.unindex_key, key)
        decide = partial(key_removal, plan=plan, wanted=wanted, concurrently=concurrently)
        await self._run(decide, build_settings(None, None), None)

    async def _note(self, change: Callable[[int, str], Any], key: str) -> None:
        """Change what the collection says of a key, and take that over."""
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
        """Put rows with the same value of a key next to each other; return the status.

        A filter finds its rows by an index and then reads the page of each. Rows of one tenant, file or day that lie
        together are on few pages, so that a search under a filter on the key reads a fraction of what it read before:
        of 256 dimensions seven rows fit in a page, of 1,000 or more one. Rows that come later are put where there is
        room: call it again when they have become many.

        Costs a sort, a rewrite of the table and a build of each of its indexes, and the room of them all beside the
        old ones. Nobody reads or writes the table meanwhile. Before that it waits for every transaction that has, but
        nobody waits for longer than half a second for it. Source: PostgreSQL's manual, "CLUSTER".

        Args:
            key: a metadata key, written as in a filter, or a column as an attribute of the model. Numbers are
                ordered as numbers and come before the rest, of which the first 200 characters count.
            maintenance_work_mem: memory of the sort and of each build, such as "1GB"; None leaves the server's value.

        Raises:
            ConfigurationError: the model has no such column, none of the rows has the metadata key, or somebody else is
                building indexes of the table.
            InvalidFilter: the metadata key is malformed.
            InvalidSetting: a setting that cannot be.
            TransactionConflict: transactions that have read or written the table stayed open for two minutes.
        """
        by, settings = key_of(self._model, key), build_settings(maintenance_work_mem, None)
        if by.path:
            await self._refuse_unused(by)
        await self._run(partial(clustering, key=by), settings, None)
        return await self.status()

    async def _refuse_unused(self, key: Key) -> None:
        """Refuse a metadata key that none of the rows has: by a mistyped one they would all be written for nothing."""
        own = [Document.collection_id == self._over.id] if isinstance(self._over, Collection) else []
        with mapped_errors():
            async with self._engine.connect() as connection:
                used = await connection.scalar(is_used(key).where(*own))
        if used is False:
            message = f"No row has the key {'.'.join(key.path)!r}: there is nothing to put together."
            raise ConfigurationError(message)

    async def _facts(self, connection: Any) -> list[catalog.IndexFact]:
        return catalog.facts_of(await connection.execute(catalog.index_facts(*self._table)))

    @property
    def _table(self) -> tuple[str, str | None]:
        return self._planned[0].table, self._planned[0].schema

    async def _steps(self, connection: Any, decide: Decide) -> Sequence[Step]:
        """Return what is to be done, with `lists` for the rows that there are where an index is made that leaves it."""
        facts = await self._facts(connection)
        steps = decide(self._planned, facts)
        # One that is there keeps its lists, however many rows there are by now.
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
        """Let go of a connection: its settings and its lock must not reach whoever gets it from the pool next."""
        try:
            # The server notices a closed connection a little later, and the next build may come at once.
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
                    f"The build of {step.index} did not finish and may have left it INVALID: `rowspace index repair` "
                    "or IndexBuilder.repair() mends that."
                )
            raise

    async def _aside(self, statement: Any) -> list[Any]:
        async with self._engine.connect() as connection:
            return [*(await connection.execute(statement)).mappings()]
