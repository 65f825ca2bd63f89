"""The repository of vectors in bulk: matrices in and out."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.errors import InvalidRow, InvalidVector, mapped_errors
from rowspace.models import Collection
from rowspace.repositories._async.exporting import copied
from rowspace.repositories._async.loading import stage
from rowspace.repositories._async.policies import under_policies
from rowspace.repositories._async.verbatim import run_verbatim
from rowspace.repositories.batches import plan_load
from rowspace.repositories.given import AsyncAnySession, session_of, several
from rowspace.repositories.reading import plan_reading
from rowspace.repositories.schemas import is_endless, schemas_of
from rowspace.repositories.subjects import Where, rows_of
from rowspace.repositories.transactions import may_hide
from rowspace.results import Matrix
from rowspace.statements.search import key_columns
from rowspace.statements.visible import discard_hidden
from rowspace.vectors import as_matrix

__all__ = ["AsyncMatrixRepository"]


class AsyncMatrixRepository:
    """Vectors of a model or of a collection as matrices, in the caller's session and transaction.

    Args:
        session: a SQLAlchemy async session.
        over: a declarative class with a `Vector` or `HalfVector` column, or a collection.
        column: the key of that column; needed where the model has several.
    """

    def __init__(self, session: AsyncAnySession, over: type[Any] | Collection, *, column: str | None = None) -> None:
        self.session: AsyncSession = session_of(session, AsyncSession)
        self._subject = rows_of(over, column)
        self._model = self._subject.target.model

    async def read(self, where: Where | None = None) -> Matrix:
        """Return the keys and vectors of the rows that match, in no particular order, by binary COPY.

        The matrix is float32 of shape (n, d), C-contiguous, also for a `HalfVector` column, since float32 represents
        every float16 exactly. Rows whose vector is NULL are left out. Costs a pass over the rows and little more memory
        than the result; with conditions, also a temporary table of their keys.

        Args:
            where: a metadata filter, or conditions on the model; None means all rows.

        Raises:
            DimensionMismatch: a row has a vector of another dimension.
            ConfigurationError: the column is a `Bit` or a `SparseVector`, or has no fixed dimension.
        """
        async with copied(self.session, self._subject, where, plan_reading, at_once=None) as parts:
            return Matrix(*await anext(parts))

    @asynccontextmanager
    async def stream(self, where: Where | None = None) -> AsyncIterator[AsyncIterator[Matrix]]:
        """Return a context manager for an iterator over the rows that match, in parts of about 4 MiB.

        The session's connection is busy until the `with` block ends; you may leave the block before the last part.
        Costs what `read` costs, except for the memory.
        """
        async with copied(self.session, self._subject, where, plan_reading) as parts:
            yield _matrices(parts)

    async def update(self, keys: Iterable[Any], vectors: Any) -> int:
        """Set the vectors of rows by key, by binary COPY, and return how many rows were updated.

        Costs a COPY into a staging table, a new version of each row, and an entry for it in each index.

        Args:
            keys: one key per row: the id of a document, or the primary key of the model.
            vectors: a matrix of shape (len(keys), dimension).

        Raises:
            InvalidVector, DimensionMismatch: the shape does not fit, or a value is NaN or infinite; nothing was
                written.
            InvalidRow: a key is repeated; nothing was written.
        """
        keys = [self._subject.key(key) for key in several(keys, "keys")]
        if not keys and not len(vectors):
            return 0
        matrix = as_matrix(vectors, dimension=self._subject.target.type.dimension)
        if len(matrix) != len(keys):
            message = f"Expected one vector per key, got {len(matrix)} vectors for {len(keys)} keys."
            raise InvalidVector(message)
        if len({*keys}) < len(keys):
            twice, _ = Counter(keys).most_common(1)[0]
            message = f"Expected each key once, got {twice[0] if len(twice) == 1 else twice!r} several times."
            raise InvalidRow(message)
        names = [*key_columns(self._subject.target), self._subject.target.column]
        with mapped_errors():
            # The keys may belong to rows that the session is about to add.
            await self.session.flush()
            connection = await self.session.connection(bind_arguments={"mapper": self._model})
            subject = await under_policies(self.session, self._subject)
            options = {"schemas": schemas_of(connection), "endless": is_endless(connection), **subject.load_options()}
            plan = plan_load(self._model, names, inserts=False, **options)
            rows = (dict(zip(names, (*key, row), strict=True)) for key, row in zip(keys, matrix, strict=True))
            await stage(connection, plan.merge, plan.encode(rows, range(len(matrix))))
            if may_hide(self.session, self._model):
                hidden = discard_hidden(self._model, plan.merge.stage, plan.merge.constants)
                await self.session.execute(hidden, bind_arguments={"mapper": self._model})
            updated: int = (await run_verbatim(connection, [plan.merge.update()])).rowcount
            await run_verbatim(connection, [plan.merge.drop_stage()])
        return updated


async def _matrices(parts: AsyncIterator[Any]) -> AsyncIterator[Matrix]:
    async for keys, vectors in parts:
        if keys:
            yield Matrix(keys, vectors)
