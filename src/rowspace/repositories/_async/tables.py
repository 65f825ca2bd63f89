"""The repository of rows in bulk, column by column: the source for Arrow, pandas and Polars."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from sqlalchemy import Column
from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.errors import mapped_errors
from rowspace.models import Collection
from rowspace.repositories._async.exporting import copied
from rowspace.repositories.given import AsyncAnySession, session_of
from rowspace.repositories.reading import columns_of, first_vector, plan_columns
from rowspace.repositories.subjects import Where, rows_of
from rowspace.statements.metadata import key_kinds
from rowspace.statements.search import key_columns
from rowspace.types import is_jsonb
from rowspace.wire.columns import RawColumn

__all__ = ["AsyncTableRepository"]

#: The kinds of numbers, in the order of the facts from `key_kinds`.
_NUMBERS = ("integer", "unsigned", "exact")


class AsyncTableRepository:
    """Rows of a model or of a collection as columns, in the caller's session and transaction.

    Args:
        session: a SQLAlchemy async session.
        over: a declarative class with a vector column or several, or a collection.
    """

    def __init__(self, session: AsyncAnySession, over: type[Any] | Collection) -> None:
        self.session: AsyncSession = session_of(session, AsyncSession)
        self._subject = rows_of(over, first_vector(over))
        #: The columns that can be read, by attribute; for a collection, without those that are equal in all documents.
        self.columns: dict[str, Column[Any]] = columns_of(self._subject)

    @property
    def vector(self) -> str:
        """The attribute of the vector column; of several, the first."""
        return self._subject.target.column

    @property
    def keys(self) -> tuple[str, ...]:
        """The attributes of the primary key, which is `id` for documents."""
        return tuple(key_columns(self._subject.target))

    @property
    def dimension(self) -> int | None:
        """The dimension of the vectors, if it is fixed."""
        return self._subject.target.type.dimension

    @asynccontextmanager
    async def stream(
        self, columns: Sequence[str], *, where: Where | None = None
    ) -> AsyncIterator[AsyncIterator[dict[str, RawColumn]]]:
        """Return a context manager for an iterator over the rows that match, in parts of about 4 MiB, by binary COPY.

        The session's connection is busy until the `with` block ends; you may leave the block before the last part. Rows
        come in no particular order. With conditions, costs a temporary table of their keys.

        Args:
            columns: attributes, at least one.
            where: a metadata filter, or conditions on the model; None means all rows.

        Raises:
            ConfigurationError: there is no such attribute, or its type's `column_expression` has parameters of its own.
            InvalidFilter: the filter is malformed.
        """
        plan = partial(plan_columns, attributes=columns)
        async with copied(self.session, self._subject, where, plan) as parts:
            yield _named(parts, columns)

    async def metadata_kinds(self, *, where: Where | None = None) -> dict[str, set[str]]:
        """Return the top-level metadata keys in order, with the kinds of their values.

        Kinds are `string`, `boolean`, `array`, `object` and `null`. Numbers are `integer` if all of them are integers
        that fit into 64 bits, `unsigned` if they fit only into an unsigned 64-bit integer, `exact` if an integer among
        them has digits that a float would lose, else `number`. A model without a JSONB attribute `meta` has no keys.
        Costs a pass over the rows that match.
        """
        metadata = self.columns.get("meta")
        if metadata is None or not is_jsonb(metadata.type):
            return {}
        conditions = self._subject.conditions(where)
        statement = key_kinds(self._subject.target, metadata, conditions.clauses)
        kinds: dict[str, set[str]] = {}
        with mapped_errors():
            for key, kind, *numbers in await self.session.execute(statement, dict(conditions.parameters)):
                of_numbers = (name for name, is_so in zip(_NUMBERS, numbers, strict=True) if is_so)
                kinds.setdefault(key, set()).add(next(of_numbers, kind))
        return kinds


async def _named(parts: AsyncIterator[Any], columns: Sequence[str]) -> AsyncIterator[dict[str, RawColumn]]:
    async for part in parts:
        if len(part[0]):
            yield dict(zip(columns, part, strict=True))
