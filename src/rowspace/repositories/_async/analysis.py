"""The repository of analyses over all rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from math import inf, isnan
from typing import Any

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.distance import Distance, DistanceName
from rowspace.errors import mapped_errors
from rowspace.models import Collection
from rowspace.projection import Covariance, check_components
from rowspace.repositories._async.examples import find_embeddings
from rowspace.repositories._async.many import Many, run_many
from rowspace.repositories._async.matrix import AsyncMatrixRepository
from rowspace.repositories._async.tunings import with_tuning
from rowspace.repositories.given import AsyncAnySession, session_of
from rowspace.repositories.keys import KeyLike, key_of
from rowspace.repositories.neighbours import Edges, Progress, check_numeric, parts_of
from rowspace.repositories.searches import Search, SearchOptions, plan_search
from rowspace.repositories.subjects import Where, subject_of
from rowspace.results import Category, Distances, Graph, Hit, Projection
from rowspace.settings import SearchSettings, check_count, check_number
from rowspace.statements import analysis as statements
from rowspace.statements.search import parameters

__all__ = ["AsyncAnalysisRepository"]

#: The first and the maximum number of neighbors to search per row, to find all within a distance.
_FIRST, _MOST = 16, 1_024


class AsyncAnalysisRepository:
    """Analyses of all rows: distances, statistics, neighbours, duplicates and a projection.

    The session and its transaction belong to the caller.

    Args:
        session: a SQLAlchemy async session.
        over: a declarative class with a vector column, or a collection.
        column: the key of that column, where a model has several.
        distance: the distance to measure, for a model; by default the distance of the column's vector index, else
            cosine.
    """

    def __init__(
        self,
        session: AsyncAnySession,
        over: type[Any] | Collection,
        *,
        column: str | None = None,
        distance: Distance | DistanceName | None = None,
    ) -> None:
        self.session: AsyncSession = session_of(session, AsyncSession)
        self._subject = subject_of(over, column, distance)
        self._target = self._subject.target
        self._matrices = AsyncMatrixRepository(session, over, column=column)

    async def distances(self, query: Any, *, where: Where | None = None) -> Distances:
        """Return the distance of every row that matches to a vector, nearest first.

        Computed by the server; costs a pass over the rows.

        Args:
            query: a vector of the column's type.
            where: a metadata filter, or conditions on the model.

        Raises:
            InvalidVector, DimensionMismatch: the query is not a vector of the column's dimension.
            InvalidFilter: the filter is malformed.
        """
        rows = await self._rows(statements.distances, where=where, values=parameters(query))
        # NaN, the cosine distance to a vector of zeros, is the farthest, as on the server.
        rows.sort(key=lambda row: (isnan(row[-1]), row[-1]))
        return Distances([_key(row[:-1]) for row in rows], np.array([row[-1] for row in rows], np.float64))

    async def statistics(self, by: KeyLike, *, where: Where | None = None) -> list[Category]:
        """Return the number of rows of each value of a key, their mean vector and mean distance to it, largest first.

        Computed by the server; costs two passes over the rows. Rows without a value, or with null, are left out.

        Args:
            by: a metadata key such as `"author.name"`, or a column as an attribute of the model.
            where: a metadata filter, or conditions on the model.

        Raises:
            ConfigurationError: the model has no such column or no metadata, or vectors of this type have no mean.
            InvalidFilter: the filter or the key is malformed.
        """
        check_numeric(self._subject)
        rows = await self._rows(statements.statistics, key_of(self._target.model, by), where=where)
        return [Category(*row) for row in rows]

    async def neighbours(
        self,
        k: int = 10,
        *,
        where: Where | None = None,
        exact: bool = False,
        settings: SearchSettings | None = None,
        progress: Progress | None = None,
    ) -> Graph:
        """Return the graph of the k nearest other rows of each row that matches, among those that match.

        Costs one index scan per row, in batches of a thousand; with `exact`, a pass over all rows for each row.

        Args:
            k: number of neighbours per row.
            where: a metadata filter, or conditions on the model.
            exact: compare with every row, without the vector index.
            settings: pgvector's settings, until the transaction ends.
            progress: called after each batch with the number of rows done and of all rows.

        Raises:
            InvalidSetting: k is out of range.
            InvalidFilter: the filter is malformed.
        """
        # One more than k, because the nearest row to a row is the row itself.
        search = await self._search(check_count("k", k) + 1, where, {"exact": exact, "settings": settings})
        keys = await self._keys(where)
        edges = Edges(keys)
        for part in parts_of(keys):
            edges.add(part, await self._near(search, part), k)
            if progress is not None:
                progress(edges.done, len(keys))
        return edges.graph()

    async def duplicates(
        self,
        min_similarity: float = 0.95,
        *,
        where: Where | None = None,
        exact: bool = False,
        settings: SearchSettings | None = None,
    ) -> Graph:
        """Return the pairs of rows that are at least this similar, nearest first; see also `Graph.groups`.

        Costs a few index scans per row. If a row has more than 1,024 such duplicates, only the nearest ones are
        returned.

        Args:
            min_similarity: as `Distance.similarity` defines it; for cosine, 1 is the same direction.
            where: a metadata filter, or conditions on the model.
            exact: compare with every row, without the vector index.
            settings: pgvector's settings, until the transaction ends.

        Raises:
            InvalidSetting: the similarity is not a number.
            InvalidFilter: the filter is malformed.
        """
        limit = check_number("min_similarity", min_similarity, -inf, inf)
        options: SearchOptions = {"min_similarity": limit, "exact": exact, "settings": settings}
        keys = await self._keys(where)
        edges = Edges(keys)
        pending, k = keys, _FIRST
        while pending:
            search = await self._search(k, where, options)
            last = k >= min(_MOST, len(keys))
            short: list[tuple[Any, ...]] = []
            for part in parts_of(pending):
                found = await self._near(search, part)
                # As many as requested, so there may be more.
                full = [not last and len(hits) == k for hits in found]
                short += compress(part, full)
                known = [not one for one in full]
                edges.add([*compress(part, known)], [*compress(found, known)])
            pending, k = short, 4 * k
        return edges.graph(once=True)

    async def projection(self, components: int = 2, *, where: Where | None = None) -> Projection:
        """Return the coordinates of the rows that match along their principal components, for a plot.

        Costs two passes over the rows, in parts; memory holds an n by n matrix for n dimensions, and the result.

        Args:
            components: number of coordinates per row.
            where: a metadata filter, or conditions on the model.

        Raises:
            InvalidVector: no row matches.
            ConfigurationError: there are more components than dimensions, or the column is not a `Vector`.
        """
        if self._target.type.dimension is not None:
            # Before the first pass, which can take long.
            components = check_components(components, self._target.type.dimension)
        covariance = Covariance()
        async with self._matrices.stream(where) as parts:
            async for part in parts:
                covariance.add(part.vectors)
        axes = covariance.axes(components)
        keys: list[Any] = []
        points = [np.empty((0, components), np.float32)]
        async with self._matrices.stream(where) as parts:
            async for part in parts:
                keys += part.keys
                points.append(axes.transform(part.vectors))
        return Projection(keys, np.concatenate(points), axes)

    async def _search(self, k: int, where: Where | None, options: SearchOptions) -> Search[Any]:
        return plan_search(await with_tuning(self.session, self._subject), k, where, options)

    async def _near(self, search: Search[Any], keys: Sequence[tuple[Any, ...]]) -> list[list[Hit[Any]]]:
        """Return the neighbours of each row; a row that has been deleted since its key was read has none."""
        found = await find_embeddings(self.session, self._subject, keys)
        there = [key for key in keys if found.get(key) is not None]
        if not there:
            return [[] for _ in keys]
        hits = await run_many(self.session, Many(search, [found[key] for key in there], keys_only=True))
        near = dict(zip(there, hits, strict=True))
        return [near.get(key, []) for key in keys]

    async def _keys(self, where: Where | None) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self._rows(statements.keys, where=where)]

    async def _rows(self, builder: Any, *arguments: Any, where: Where | None, values: Any = None) -> list[Any]:
        conditions = self._subject.conditions(where)
        statement = builder(self._target, *arguments, conditions.clauses)
        with mapped_errors():
            return [*await self.session.execute(statement, {**conditions.parameters, **(values or {})})]


def _key(parts: Sequence[Any]) -> Any:
    return parts[0] if len(parts) == 1 else tuple(parts)
