"""The repository over any declarative model with a vector column."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar, Unpack

from sqlalchemy import SQLColumnExpression, inspect
from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.distance import Distance, DistanceName
from rowspace.errors import mapped_errors
from rowspace.repositories._async.loading import upsert_rows
from rowspace.repositories._async.searching import run_search
from rowspace.repositories._async.streaming import stream_hits
from rowspace.repositories._async.tunings import with_tuning
from rowspace.repositories._async.verbatim import rows_changed
from rowspace.repositories.given import AsyncAnySession, session_of, several
from rowspace.repositories.key_values import is_exact
from rowspace.repositories.searches import SearchOptions, plan_search
from rowspace.repositories.subjects import Subject, Where, subject_of
from rowspace.results import Hit, LoadReport
from rowspace.statements import models as statements

__all__ = ["AsyncRepository"]

M = TypeVar("M")


class AsyncRepository(Generic[M]):
    """Rows of one model, in the caller's session.

    The session and its transaction belong to the caller: the repository never commits, rolls back or opens a session.

    Args:
        session: a SQLAlchemy async session.
        model: a declarative class with a vector column.
        column: the key of that column; needed where the model has several.
        distance: what searches order by; by default the distance of the column's vector index, else cosine.

    Raises:
        ConfigurationError: the model has no vector column, or several and `column` does not say which.
    """

    def __init__(
        self,
        session: AsyncAnySession,
        model: type[M],
        *,
        column: str | None = None,
        distance: Distance | DistanceName | None = None,
    ) -> None:
        self.session: AsyncSession = session_of(session, AsyncSession)
        self.model = model
        self._subject: Subject[M] = subject_of(model, column, distance)

    async def add(self, entity: M) -> M:
        """Add one entity to the session and flush it, so that server defaults are loaded and errors are raised now.

        Costs one INSERT.
        """
        await self.add_all([entity])
        return entity

    async def add_all(self, entities: Iterable[M]) -> None:
        """Add entities to the session and flush them.

        Costs one INSERT per thousand entities; for thousands of rows `upsert` is 20 times faster.
        """
        with mapped_errors():
            self.session.add_all(entities)
            await self.session.flush()

    async def upsert(
        self, rows: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]], *, batch_size: int = 5_000
    ) -> LoadReport:
        """Insert rows, and update those whose primary key already exists, by binary COPY.

        Rows without a key are new: each gets its key from the column's `default` or from the server, for example from a
        sequence. The generated keys are not returned.

        Costs, for each batch, a COPY into a staging table and a statement that merges it; on psycopg and asyncpg, up to
        a hundred rows totaling at most a megabyte take a single statement. Entities in the session keep their old
        values until they are refreshed.

        Args:
            rows: mappings of attribute names to values, all with the same keys; read once, one batch at a time. A
                column that the rows leave out gets its `default` in a new row; in an existing row it keeps its value or
                gets its `onupdate`. A `default` function is called once per row, an `onupdate` function once per load,
                as for a single UPDATE. A `version_id_col` is incremented. A column with neither a value nor a default,
                here or on the server, must be nullable; the discriminator of an inheritance is filled in. Values are
                stored as `session.add` would store them: None in a JSON column is JSON null, unless the type sets
                `none_as_null`.
            batch_size: number of rows held in memory and sent at once.

        Raises:
            InvalidVector, InvalidText, InvalidRow: a value cannot be stored, or a row has different attributes than the
                first one; the message names the row.
            ConfigurationError: the first row has an attribute that is not a column, or lacks a primary key that nothing
                generates; a missing column's `default` or `onupdate` is a function that needs the statement's context;
                a type's `bind_expression` has parameters of its own; or the batch size is below 1.
        """
        return await upsert_rows(self.session, self.model, rows, batch_size=batch_size)

    async def get(self, key: Any) -> M | None:
        """Return the entity with a primary key (a tuple for a composite key), or None.

        Costs one row, or nothing if the session already holds the entity.

        Raises:
            ConfigurationError, InvalidText: the key has a different type than the rows' key.
        """
        with mapped_errors():
            return await self.session.get(self.model, self._subject.key(key))

    async def get_many(self, keys: Iterable[Any]) -> list[M | None]:
        """Return the entities with the given primary keys, in that order, with None for each key that has no row.

        Costs one statement per 10,000 keys (1,000 composite keys). Keys that are not found, unless they are integers or
        UUIDs, cost as many again, and one statement each if the server considers some of them equal to an existing key,
        as with the case of a `citext`. Raises what `get` raises.
        """
        wanted = [self._subject.key(key) for key in several(keys, "keys")]
        with mapped_errors():
            found: dict[tuple[Any, ...], M | None] = {**await self._by_keys(wanted)}
            # The server may consider keys equal that differ in Python: texts, ranges, NaN.
            missing = [key for key in dict.fromkeys(wanted) if key not in found and not all(map(is_exact, key))]
            if await self._by_keys(missing):
                found |= {key: await self.get(key) for key in missing}
        return [found.get(key) for key in wanted]

    async def _by_keys(self, keys: Sequence[tuple[Any, ...]]) -> dict[tuple[Any, ...], M]:
        """Return the entities that the server finds for the keys, by the keys of their rows."""
        identify = inspect(self.model).primary_key_from_instance
        found: dict[tuple[Any, ...], M] = {}
        for part in statements.parts_of(self.model, keys):
            rows = await self.session.scalars(statements.by_keys(self.model, part))
            found |= {tuple(identify(entity)): entity for entity in rows}
        return found

    async def delete(self, keys: Iterable[Any]) -> int:
        """Delete rows by primary key and return how many were deleted.

        Costs one statement per 10,000 keys (1,000 composite keys).

        Raises:
            ConfigurationError: the model is mapped to several tables, as in joined inheritance.
            ConfigurationError, InvalidText: a key has a different type than the rows' key.
        """
        wanted = [self._subject.key(key) for key in several(keys, "keys")]
        deleted = 0
        for part in statements.parts_of(self.model, wanted):
            deleted += await rows_changed(self.session, self.model, statements.delete_keys(self.model, part))
        return deleted

    async def delete_where(self, *where: SQLColumnExpression[bool | None]) -> int:
        """Delete the rows that meet every condition and return how many were deleted; costs a pass over them.

        Raises:
            ConfigurationError: no condition is given, or the model is mapped to several tables.
        """
        return await rows_changed(self.session, self.model, statements.delete_where(self.model, where))

    async def count(self, *where: SQLColumnExpression[bool | None]) -> int:
        """Return the number of rows that meet every condition; costs a pass over them."""
        with mapped_errors():
            return await self.session.scalar(statements.count(self.model, where)) or 0

    async def nearest(
        self,
        query: Any,
        k: int = 10,
        *,
        where: Where | None = None,
        **options: Unpack[SearchOptions],
    ) -> list[Hit[M]]:
        """Return the k rows nearest to a vector, nearest first.

        Costs one index scan of about `ef_search` rows. With `where`, the scan continues until k rows pass, and if it
        ends too early, the search is repeated exactly. The embedding is loaded only on request.

        Args:
            query: a 1-d array-like of the column's dimension.
            k: number of rows to return, at least 1.
            where: conditions on the model, such as `[Article.year > 2020]`, or a metadata filter as a dict where the
                model has a JSONB attribute `meta`.
            options: `max_distance`, `min_distance`, `min_similarity`, `recall`, `exact`, `with_embedding`, `settings`;
                see `rowspace.repositories.SearchOptions`.

        Raises:
            InvalidVector: the query is not a vector of the column's dimension.
            InvalidSetting: k or a setting is out of range, or `recall` is given and no tuned curve reaches it.
            TypeError: an unknown option.
        """
        subject = await with_tuning(self.session, self._subject)
        return await run_search(self.session, plan_search(subject, k, where, options, query=query))

    def stream(
        self,
        query: Any,
        *,
        where: Where | None = None,
        max_distance: float | None = None,
        min_distance: float | None = None,
        with_embedding: bool = False,
        chunk_size: int = 1_000,
    ) -> AsyncGenerator[Hit[M], None]:
        """Yield every row that matches, nearest first, from a server-side cursor; only one chunk is in memory.

        Always exact: costs a pass over the rows that match and a sort on the server. You may leave the loop at any
        time, and use the session during the loop, until its transaction ends.

        Args:
            query: a 1-d array-like of the column's dimension.
            where: as in `nearest`.
            max_distance: leave out rows that are farther.
            min_distance: leave out rows that are nearer.
            with_embedding: also load the embedding of each hit.
            chunk_size: number of rows fetched and held at once, at least 1.

        Raises:
            InvalidVector: the query is not a vector of the column's dimension.
            InvalidSetting: the chunk size is out of range.
        """
        options: SearchOptions = {"max_distance": max_distance, "min_distance": min_distance}
        options["with_embedding"] = with_embedding
        return stream_hits(self.session, self._subject, query, where=where, chunk_size=chunk_size, **options)
