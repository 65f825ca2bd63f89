"""The repository of listings and summaries."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Generic, TypeVar, overload

from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.errors import mapped_errors
from rowspace.models import Collection, Document
from rowspace.repositories._async.streaming import stream_rows
from rowspace.repositories.cursors import read_cursor, understood, write_cursor
from rowspace.repositories.given import AsyncAnySession, session_of
from rowspace.repositories.keys import KeyLike, key_of, named_keys
from rowspace.repositories.subjects import Where, rows_of
from rowspace.results import FacetCount, Page, Stats
from rowspace.settings import check_count
from rowspace.statements import browse, listing as listings
from rowspace.statements.listing import Listing

__all__ = ["AsyncBrowseRepository"]

M = TypeVar("M")


class AsyncBrowseRepository(Generic[M]):
    """Pages through rows and summarizes their keys, in the caller's session and transaction.

    A key is a metadata key, written as in a filter (`"author.name"`), or a column as an attribute
    (`Document.created_at`). Metadata values of different types have one order: numbers, texts, booleans, arrays,
    objects.

    Args:
        session: a SQLAlchemy async session.
        over: a collection, or a declarative class with a vector column.
        column: the vector attribute, for a model with several.

    Raises:
        ConfigurationError: the model has no such column.
    """

    @overload
    def __init__(self: AsyncBrowseRepository[Document], session: AsyncAnySession, over: Collection) -> None: ...

    @overload
    def __init__(self, session: AsyncAnySession, over: type[M], *, column: str | None = None) -> None: ...

    def __init__(self, session: AsyncAnySession, over: type[M] | Collection, *, column: str | None = None) -> None:
        self.session: AsyncSession = session_of(session, AsyncSession)
        self._subject = rows_of(over, column)

    async def scroll(
        self,
        limit: int = 100,
        *,
        where: Where | None = None,
        order_by: KeyLike | None = None,
        descending: bool = False,
        cursor: str | None = None,
        with_embedding: bool = False,
    ) -> Page[M]:
        """Return a page of rows and the cursor of the next page, which is None after the last one.

        Pages neither repeat nor skip a row when rows are inserted or deleted meanwhile. Rows with equal values, and
        rows without a value, which come last, are ordered by primary key. In the order of the primary key, or of an
        indexed column or metadata key, a page costs `limit` rows, plus any others that share a value with a row of the
        page, since these are sorted together; and one more round trip where the values change their type or end. Any
        other order costs a pass over the rows that match.

        Args:
            limit: number of rows per page, at least 1.
            where: a metadata filter, or conditions on the model; the same for every page.
            order_by: a key; by default the primary key alone.
            descending: largest first.
            cursor: the cursor that the previous page returned; None for the first page.
            with_embedding: load the embedding of each row in the same statement.

        Raises:
            InvalidCursor: the cursor was altered, or belongs to a listing with other conditions or another order.
            InvalidFilter, InvalidSetting: the filter or key is malformed; the limit is out of range.
            ConfigurationError: the model has no such column, or no metadata; or the column is an expression whose type
                SQLAlchemy does not know.
        """
        check_count("limit", limit)
        listing = self._listing(order_by, descending=descending, with_embedding=with_embedding)
        after = None if cursor is None else read_cursor(listing, cursor)
        conditions = self._subject.conditions(where)
        rows: list[Any] = []
        with mapped_errors(), understood(cursor):
            for part in listings.parts(listing, after):
                # One more row than the page, to know whether there is another page.
                statement = listings.scroll(listing, part, limit + 1, conditions.clauses)
                rows += await self.session.execute(statement, dict(conditions.parameters))
                if len(rows) > limit:
                    break
        page = rows[:limit]
        more = write_cursor(listing, listings.after(listing, page[-1][1], page[-1][2:])) if len(rows) > limit else None
        return Page([row[0] for row in page], more)

    async def stream(
        self,
        *,
        where: Where | None = None,
        order_by: KeyLike | None = None,
        descending: bool = False,
        with_embedding: bool = False,
        chunk_size: int = 1_000,
    ) -> AsyncGenerator[M, None]:
        """Yield every row that matches from a server-side cursor; only one chunk is in memory.

        The rows are a snapshot of one moment, in the order of `scroll`. You may leave the loop at any time, and use the
        session during the loop, until its transaction ends. Costs a pass over the rows that match, and a sort unless
        the primary key or an indexed column has the order.

        Args:
            where: a metadata filter, or conditions on the model.
            order_by: a key; by default the primary key alone.
            descending: the largest first.
            with_embedding: also load the embedding of each row.
            chunk_size: number of rows fetched and held at once, at least 1.

        Raises:
            InvalidFilter, InvalidSetting: the filter or key is malformed; the chunk size is out of range.
            ConfigurationError: the model has no such column, or no metadata.
        """
        listing = self._listing(order_by, descending=descending, with_embedding=with_embedding)
        conditions = self._subject.conditions(where)
        statement = listings.rows(listing, conditions.clauses)
        async with aclosing(stream_rows(self.session, statement, dict(conditions.parameters), chunk_size)) as rows:
            async for (row,) in rows:
                yield row

    async def facets(
        self, keys: KeyLike | Sequence[KeyLike], *, where: Where | None = None, limit: int = 10
    ) -> dict[str, list[FacetCount]]:
        """Return the most common values of each key with the number of rows that have them, most common first.

        Each element of an array counts, once per row. Null counts as missing. JSONB and arrays are unpacked as they are
        stored, even if a `TypeDecorator` converts the whole value. Costs one pass per key over the rows that match.

        Args:
            keys: one key or several.
            where: a metadata filter, or conditions on the model.
            limit: number of values per key.

        Raises:
            InvalidFilter, InvalidSetting: the filter or a key is malformed; the limit is out of range.
            ConfigurationError: the model has no such column, or no metadata; or the column is of type JSON.
        """
        check_count("limit", limit)
        counts = {}
        for name, key in named_keys(self._subject.target.model, keys).items():
            rows = await self._rows(browse.facet, key, limit, where=where)
            counts[name] = [FacetCount(value, count) for value, count in rows]
        return counts

    async def distinct(self, key: KeyLike, *, where: Where | None = None, limit: int = 1_000) -> list[Any]:
        """Return the distinct values of a key in ascending order, without null; of arrays, their elements.

        Costs a pass over the rows that match. Raises what `facets` raises.
        """
        check_count("limit", limit)
        rows = await self._rows(browse.distinct, key_of(self._subject.target.model, key), limit, where=where)
        return [value for (value,) in rows]

    async def stats(self, key: KeyLike, *, where: Where | None = None) -> Stats:
        """Return the number of rows with and without a value for a key, its distinct values, minimum and maximum.

        The elements of an array count as values. Costs two passes over the rows that match. Raises what `facets`
        raises.
        """
        (row,) = await self._rows(browse.stats, key_of(self._subject.target.model, key), where=where)
        return Stats(*row)

    def _listing(self, order_by: KeyLike | None, *, descending: bool, with_embedding: bool) -> Listing[Any]:
        target = self._subject.target
        key = None if order_by is None else key_of(target.model, order_by)
        # For a column, do not access the collection, which its session may have expired.
        indexed = key is not None and bool(key.path) and key.path in self._subject.indexed_paths
        return Listing(target, key, descending, with_embedding, indexed)

    async def _rows(self, builder: Any, *arguments: Any, where: Where | None) -> list[Any]:
        conditions = self._subject.conditions(where)
        statement = builder(self._subject.target, *arguments, conditions.clauses)
        with mapped_errors():
            return [*await self.session.execute(statement, dict(conditions.parameters))]
