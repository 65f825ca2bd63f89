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

    The session and its transaction are the caller's: nothing here commits, rolls back or opens a session.

    Args:
        session: a SQLAlchemy async session.
        model: a declarative class with a vector column.
        column: the key of that column; needed where the model has several.
        distance: what searches order by; by default that of the column's vector index, else cosine.

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
        """Add one entity to the session and flush it, so that the server's defaults and errors come now.

        Costs one INSERT.
        """
        await self.add_all([entity])
        return entity

    async def add_all(self, entities: Iterable[M]) -> None:
        """Add entities to the session and flush them.

        Costs an INSERT for each thousand of them; for thousands of rows `upsert` is 20 times faster.
        """
        with mapped_errors():
            self.session.add_all(entities)
            await self.session.flush()

    async def upsert(
        self, rows: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]], *, batch_size: int = 5_000
    ) -> LoadReport:
        """Insert rows, and update those whose primary key is there already, by COPY in binary.

        Rows that leave the key out are new, each with a key from its `default` or from the server, such as the next of
        a sequence; which, is not told.

        Costs a COPY into a staging table and a statement that merges it, for each batch; on psycopg and asyncpg up to
        a hundred rows of a megabyte in all are one statement. Entities that the session holds keep their values until
        they are refreshed.

        Args:
            rows: mappings of attribute names to values, all with the same keys; read once, a batch at a time. A column
                that they leave out gets its `default` in a new row, and in one that is there keeps its value or gets
                its `onupdate`. A function is called for each row as a `default`, and once for the load as an
                `onupdate`, as for one UPDATE; a `version_id_col` counts on. Without a default, also of the server's,
                the column has to be nullable, but for the discriminator of an inheritance. A value is stored as
                `session.add` does: None in a JSON column as JSON's null, unless the type says `none_as_null`.
            batch_size: rows held in memory and sent at once.

        Raises:
            InvalidVector, InvalidText, InvalidRow: a value that cannot be stored, or a row with other attributes than
                the first one; the message names the row.
            ConfigurationError: the first row has an attribute that is no column, or lacks a primary key that nothing
                makes, or a column whose `default` or `onupdate` is a function that asks for the statement, or whose
                type's `bind_expression` has parameters of its own; or a batch size below 1.
        """
        return await upsert_rows(self.session, self.model, rows, batch_size=batch_size)

    async def get(self, key: Any) -> M | None:
        """Return the entity of a primary key (a tuple where it has several columns), or None.

        Costs one row, or nothing where the session holds the entity.

        Raises:
            ConfigurationError, InvalidText: the key is of another type than that of the rows.
        """
        with mapped_errors():
            return await self.session.get(self.model, self._subject.key(key))

    async def get_many(self, keys: Iterable[Any]) -> list[M | None]:
        """Return the entities of primary keys, in the order of the keys, None where there is no such row.

        Costs one statement for each 10,000 keys, 1,000 of several columns, and as many for those that are not found and
        are no whole numbers or UUIDs; and one for each of these where some are the same as that of a row to the server
        alone, such as another case of a `citext`. The errors are those of `get`.
        """
        wanted = [self._subject.key(key) for key in several(keys, "keys")]
        with mapped_errors():
            found: dict[tuple[Any, ...], M | None] = {**await self._by_keys(wanted)}
            # The server may know two for the same that Python does not: texts, ranges, NaN.
            missing = [key for key in dict.fromkeys(wanted) if key not in found and not all(map(is_exact, key))]
            if await self._by_keys(missing):
                found |= {key: await self.get(key) for key in missing}
        return [found.get(key) for key in wanted]

    async def _by_keys(self, keys: Sequence[tuple[Any, ...]]) -> dict[tuple[Any, ...], M]:
        """Return the entities that the server finds by some keys, by the keys that their rows have."""
        identify = inspect(self.model).primary_key_from_instance
        found: dict[tuple[Any, ...], M] = {}
        for part in statements.parts_of(self.model, keys):
            rows = await self.session.scalars(statements.by_keys(self.model, part))
            found |= {tuple(identify(entity)): entity for entity in rows}
        return found

    async def delete(self, keys: Iterable[Any]) -> int:
        """Delete the rows of primary keys and return how many there were.

        Costs one statement for each 10,000 keys, 1,000 of several columns.

        Raises:
            ConfigurationError: the model is mapped to several tables, as in joined inheritance.
            ConfigurationError, InvalidText: a key is of another type than that of the rows.
        """
        wanted = [self._subject.key(key) for key in several(keys, "keys")]
        deleted = 0
        for part in statements.parts_of(self.model, wanted):
            deleted += await rows_changed(self.session, self.model, statements.delete_keys(self.model, part))
        return deleted

    async def delete_where(self, *where: SQLColumnExpression[bool | None]) -> int:
        """Delete the rows that meet every condition and return how many there were; costs a pass over them.

        Raises:
            ConfigurationError: there is no condition, or the model is mapped to several tables.
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
        """Return the k nearest rows to a vector, nearest first.

        Costs one index scan of about `ef_search` rows; with `where` the scan goes on until k rows pass, and rows that
        it could not reach are looked for exactly. The embedding is loaded only when asked for.

        Args:
            query: a 1-d array-like of the column's dimension.
            k: rows wanted, at least 1.
            where: conditions on the model, such as `[Article.year > 2020]`, or a metadata filter as a dict where the
                model has a JSONB attribute `meta`.
            options: `max_distance`, `min_distance`, `min_similarity`, `recall`, `exact`, `with_embedding`, `settings`;
                see `rowspace.repositories.SearchOptions`.

        Raises:
            InvalidVector: the query is no vector, or not of the column's dimension.
            InvalidSetting: k or a setting is out of range; a recall is asked for, and there is no curve that has it.
            TypeError: an option that does not exist.
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
        """Yield every row that matches, nearest first, from a cursor of the server's: memory for one chunk.

        Always exact: costs a pass over the rows that match and a sort of them in the server. The loop may be left at
        any time; the session stays usable, during the loop too, until its transaction ends.

        Args:
            query: a 1-d array-like of the column's dimension.
            where: as in `nearest`.
            max_distance: leave out what is farther.
            min_distance: leave out what is nearer.
            with_embedding: load the embedding of each hit too.
            chunk_size: rows fetched and held at once, at least 1.

        Raises:
            InvalidVector: the query is no vector, or not of the column's dimension.
            InvalidSetting: the chunk size is out of range.
        """
        options: SearchOptions = {"max_distance": max_distance, "min_distance": min_distance}
        options["with_embedding"] = with_embedding
        return stream_hits(self.session, self._subject, query, where=where, chunk_size=chunk_size, **options)
