"""Bulk loads: rows of any iterable, batch by batch, by COPY into a staging table or straight into an empty one."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from rowspace.errors import PermissionDenied, mapped_errors, sqlstate_of
from rowspace.models import Document
from rowspace.repositories._async.verbatim import run_verbatim
from rowspace.repositories.batches import Batcher, Plan, aiter_rows, atake, check_row, plan_load
from rowspace.repositories.driver import as_sqlalchemy
from rowspace.repositories.given import size
from rowspace.repositories.schemas import is_endless, schemas_of
from rowspace.repositories.transactions import may_hide
from rowspace.results import LoadReport
from rowspace.statements.text import word_count
from rowspace.statements.visible import staged_visible
from rowspace.statements.write import Copy, Merge
from rowspace.wire.copy import copy_in_async, given_values, takes_values
from rowspace.wire.encode import EncodedRows
from rowspace.wire.interrupted import interruptible_async

__all__ = ["stage", "unsearchable", "upsert_rows"]

#: The maximum number of rows to merge as parameters, if the driver supports this. A temporary table costs entries in
#: the catalogs, three files and six round trips.
_FEW = 100
#: The maximum number of their values, each of which is a parameter; PostgreSQL's limit is 65,535.
_VALUES = 2_000
#: The maximum number of their bytes. Each time libpq sends a part, it moves the rest: a hundred rows of 1 MB took 7 s,
#: compared with 0.8 s by COPY. For a message of 1 GB, the server closes the connection.
_BYTES = 1 << 20

#: "program_limit_exceeded"
_TOO_LONG = "54000"


async def upsert_rows(
    session: AsyncSession,
    model: type[Any],
    rows: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
    *,
    batch_size: int,
    is_empty: Callable[[], Any] | None = None,
    **options: Any,
) -> LoadReport:
    """Insert or update `rows` by primary key, in the session's transaction; further keywords go to `plan_load`.

    `is_empty` asks whether the table has rows. Of a few, which are one statement either way, nobody asks.
    """
    source, batch_size = aiter_rows(rows), size("batch_size", batch_size)
    given = await atake(source, batch_size)
    if not given:
        return LoadReport()
    check_row(given[0], 0)
    with mapped_errors():
        # Pending changes of the session come first: the load may refer to rows that it is about to add.
        await session.flush()
        connection = await session.connection(bind_arguments={"mapper": model})
        options |= {"schemas": schemas_of(connection), "endless": is_endless(connection)}
        if is_empty is not None and not (len(given) <= _FEW and takes_values(connection)):
            options["empty"] = await is_empty()
        plan = plan_load(model, list(given[0]), **options)
        return await _load(_Stage(session, connection, model, plan.merge), plan, given, source)


async def _load(
    staged: _Stage, plan: Plan, given: list[Mapping[str, Any]], source: AsyncIterator[Mapping[str, Any]]
) -> LoadReport:
    """Load the first batch, and the others of its size."""
    batcher, batch_size = Batcher(plan), len(given)
    inserted = updated = 0
    copies = plan.copies
    while given:
        rows, data = batcher.batch(given)
        # A row of an earlier batch is already in the table.
        copies = copies and not batcher.again and await _copy_new(staged.connection, plan.merge, data)
        new, old = (rows, 0) if copies else await staged.merge(rows, data)
        inserted, updated = inserted + new, updated + old
        given = await atake(source, batch_size)
    await staged.drop()
    received, duplicates = batcher.received, batcher.duplicates
    if not plan.merge.updates:
        return LoadReport(received, inserted, 0, received - inserted - duplicates, duplicates)
    # A row that occurred in two batches was merged twice; the second time counts as a duplicate, not as an update.
    return LoadReport(received, inserted, updated - batcher.again, 0, duplicates)


async def _copy_new(connection: AsyncConnection, merge: Merge, data: EncodedRows) -> bool:
    """Copy rows directly into the target and return True, or False if a merge is necessary."""
    try:
        await _copy(connection, merge.to_target(), data)
    except DBAPIError as error:
        # A constraint: another transaction has inserted one of the keys, or the merge will raise the error of the row.
        # Or row-level policies, which COPY does not support.
        if (sqlstate_of(error.orig) or "")[:2] not in {"23", "0A"}:
            raise
        return False
    return True


async def stage(connection: AsyncConnection, merge: Merge, data: EncodedRows, *, again: bool = False) -> None:
    """Copy rows into the staging table of a load, which is created for the first rows and emptied for later ones."""
    await run_verbatim(connection, [merge.clear_stage() if again else merge.create_stage()])
    await _copy(connection, merge.to_stage(), data)


async def _copy(connection: AsyncConnection, into: Copy, data: EncodedRows) -> None:
    with as_sqlalchemy(into.statement()):
        await copy_in_async(connection, into, data)


async def unsearchable(session: AsyncSession, language: str, texts: Mapping[int, str]) -> dict[int, str]:
    """Return the reasons why texts are too long to be found by keyword, by their names in `texts`.

    Costs the making of a tsvector of each text.
    """
    found = {}
    for known_by, text in texts.items():
        try:
            async with interruptible_async(session.begin_nested()):
                await session.execute(word_count(language, text), bind_arguments={"mapper": Document})
        except DBAPIError as error:
            if sqlstate_of(error.orig) != _TOO_LONG:
                raise
            found[known_by] = (
                f"the text ({len(text):,} characters) has more distinct words than PostgreSQL can index, about 1 MB. "
                "Split it into passages."
            )
    return found


class _Stage:
    """The staging table of a load, created when it is first needed."""

    def __init__(self, session: AsyncSession, connection: AsyncConnection, model: type[Any], merge: Merge) -> None:
        self._session = session
        self.connection = connection
        self._model = model
        self._merge = merge
        self._made = False
        # A row without a key does not update an existing row.
        self._guarded = bool(merge.keys) and may_hide(session, model)

    async def merge(self, rows: int, data: EncodedRows) -> tuple[int, int]:
        """Merge a number of rows into the target and return how many were inserted and updated."""
        values = self._values(rows, data)
        if values is not None:
            statement = self._merge.merge_given(rows, for_asyncpg=self.connection.dialect.driver == "asyncpg")
            given: Any = (await self.connection.exec_driver_sql(statement, values)).one()
            return given[0], given[1]
        await stage(self.connection, self._merge, data, again=self._made)
        self._made = True
        if self._guarded:
            await self._refuse_hidden()
        counts: Any = (await run_verbatim(self.connection, [self._merge.merge()])).one()
        return counts[0], counts[1]

    def _values(self, rows: int, data: EncodedRows) -> tuple[Any, ...] | None:
        """Return the values of a few rows as parameters, or None if they have to be staged."""
        few = min(_FEW, _VALUES // len(self._merge.columns))
        if rows > few or self._guarded or not takes_values(self.connection):
            return None
        ddl = [column.staged_as for column in self._merge.columns]
        return given_values(self.connection, data, ddl, _BYTES)

    async def _refuse_hidden(self) -> None:
        """Refuse to update rows that the session hides."""
        there: int = (await run_verbatim(self.connection, [self._merge.known()])).scalar_one()
        statement = staged_visible(self._model, self._merge.stage, self._merge.constants)
        seen = await self._session.scalar(statement, bind_arguments={"mapper": self._model})
        if there != seen:
            message = (
                f"{there - (seen or 0)} of the rows have the key of a row in {self._merge.table} that this session "
                "hides, by its criteria (do_orm_execute) or by the model's inheritance. Such rows are not updated."
            )
            raise PermissionDenied(message)

    async def drop(self) -> None:
        """Drop the table if it was created."""
        if self._made:
            await run_verbatim(self.connection, [self._merge.drop_stage()])
