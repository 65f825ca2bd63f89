"""The repository of searches beyond the nearest rows to one query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, Literal, TypeVar

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import SQLCoreOperations

from rowspace.distance import Distance
from rowspace.models import Collection
from rowspace.ranking import average_query, mmr
from rowspace.repositories._async.examples import fetch_embeddings
from rowspace.repositories._async.grouping import GroupedSearch, run_grouped
from rowspace.repositories._async.many import Many, run_many
from rowspace.repositories._async.searching import Search, run_search
from rowspace.repositories.examples import Examples, checked_candidates, merged
from rowspace.repositories.subjects import Where, subject_of
from rowspace.results import Group, Hit
from rowspace.settings import SearchSettings
from rowspace.statements.examples import nearer_to, without
from rowspace.statements.grouping import Grouping
from rowspace.statements.search import Nearest, parameters

__all__ = ["AsyncSearchRepository"]

M = TypeVar("M")


class AsyncSearchRepository(Generic[M]):
    """Searches by many queries, by examples, for variety and by group, in the caller's session.

    The session and its transaction are the caller's: nothing here commits, rolls back or opens a session. Every search
    is as complete as `AsyncRepository.nearest`: what the index could not reach is looked for exactly.

    Args:
        session: a SQLAlchemy async session.
        over: a declarative class with a vector column, or a collection.
        column: the key of that column, where a model has several.
        distance: what searches order by, for a model; by default that of the column's vector index, else cosine.

    Raises:
        ConfigurationError: no such vector column, several and `column` does not say which, or either option for a
            collection.
    """

    def __init__(
        self,
        session: AsyncSession,
        over: type[M] | Collection,
        *,
        column: str | None = None,
        distance: Distance | str | None = None,
    ) -> None:
        self.session = session
        self._subject = subject_of(over, column, distance)
        self._target = self._subject.target

    async def nearest_many(
        self,
        queries: Any,
        k: int = 10,
        *,
        where: Where | None = None,
        max_distance: float | None = None,
        min_similarity: float | None = None,
        with_embedding: bool = False,
        exact: bool = False,
        settings: SearchSettings | None = None,
    ) -> list[list[Hit[M]]]:
        """Return the k nearest rows to each of many vectors, nearest first: one list a query, in their order.

        The same as one `nearest` for each, in one statement for 1,000 of them. Costs an index scan a query; those that
        come back short are searched again together, by a scan that goes on, then exactly.

        Args:
            queries: an array-like of shape (q, n), or a sequence of vectors of the column's type.
            k: rows wanted for each query, at least 1.
            where: a metadata filter as a dict, or a sequence of conditions on the model; the same for all queries.
            max_distance: leave out what is farther.
            min_similarity: the same limit as a similarity, see `Distance.similarity`.
            with_embedding: load the embedding of each hit in the same statement.
            exact: compare with every row that matches, without the vector index.
            settings: pgvector's settings, until the transaction ends.

        Raises:
            InvalidVector: a query is no vector, or not of the column's dimension; the message names its index.
            InvalidSetting: k or a setting is out of range.
            InvalidFilter: the metadata filter is malformed.
            ConfigurationError: both limits are given.
        """
        limit = self._subject.limit(max_distance, min_similarity)
        shape = Nearest(k, limit is not None, with_embedding=with_embedding, exact=exact)
        search = self._search(shape, where, settings, limit)
        return await run_many(self.session, Many(search, self._subject.vectors(queries)))

    async def similar_to(
        self,
        key: Any,
        k: int = 10,
        *,
        where: Where | None = None,
        max_distance: float | None = None,
        min_similarity: float | None = None,
        with_embedding: bool = False,
        exact: bool = False,
        settings: SearchSettings | None = None,
    ) -> list[Hit[M]]:
        """Return the k nearest rows to a row that is there, without that row, nearest first.

        One statement: the row's embedding stays in the server. Costs what `nearest` does.

        Args:
            key: the primary key of the row, a tuple where it has several columns; the id of a document.
            k: rows wanted, at least 1.
            where: conditions on the rows to be found, as in `nearest_many`.
            max_distance: leave out what is farther.
            min_similarity: the same limit as a similarity.
            with_embedding: load the embedding of each hit in the same statement.
            exact: compare with every row that matches, without the vector index.
            settings: pgvector's settings, until the transaction ends.

        Raises:
            RowNotFound: there is no such row, or it has no embedding.
            InvalidSetting, InvalidFilter, ConfigurationError: as in `nearest_many`.
        """
        limit = self._subject.limit(max_distance, min_similarity)
        shape = Nearest(k, limit is not None, with_embedding=with_embedding, exact=exact)
        search, parts = self._search(shape, where, settings, limit), self._subject.key(key)
        hits = (await run_many(self.session, Many(search, [parts], stored=True)))[0]
        if not hits:
            await fetch_embeddings(self.session, self._subject, [parts])
        return hits

    async def recommend(
        self,
        positive: Sequence[Any],
        negative: Sequence[Any] = (),
        *,
        k: int = 10,
        strategy: Literal["average", "best_score"] = "average",
        where: Where | None = None,
        with_embedding: bool = False,
        exact: bool = False,
        settings: SearchSettings | None = None,
    ) -> list[Hit[M]]:
        """Return k rows that are like the positive examples and unlike the negative ones, without the examples.

        Examples are keys or vectors, mixed as you like: a list or an array is a vector, a tuple is a key of several
        columns, anything else is a key. The embeddings of keys are fetched first, in one statement.

        - `average` searches once, for `mean(positive) + (mean(positive) - mean(negative))`, which is computed here;
          distances are to that. For cosine distance each example is first scaled to length one.
        - `best_score` takes each row by its nearest positive example, and leaves out rows that are nearer to a
          negative one; distances are to the nearest positive example. Costs an index scan a positive example, and
          a distance to each example for each row that a scan comes by.

        The formulas are Qdrant's (its manual, "Recommendation API"; `average_vector` and `best_score`), where rows
        that are nearer to a negative example are not left out but come last.

        Args:
            positive: at least one example.
            negative: any number of examples.
            k: rows wanted, at least 1.
            strategy: `average` or `best_score`.
            where: conditions on the rows to be found, as in `nearest_many`.
            with_embedding: load the embedding of each hit in the same statement.
            exact: compare with every row that matches, without the vector index.
            settings: pgvector's settings, until the transaction ends.

        Raises:
            RowNotFound: there is no row of a key, or it has no embedding.
            InvalidVector: an example is no vector, or not of the column's dimension.
            ConfigurationError: no positive example, an unknown strategy, or an average of bit vectors.
            InvalidSetting, InvalidFilter: as in `nearest_many`.
        """
        examples = Examples.of(self._subject, positive, negative, strategy)
        vectors = examples.vectors(await fetch_embeddings(self.session, self._subject, examples.keys))
        shape = Nearest(k, with_embedding=with_embedding, exact=exact)
        others = without(self._target, examples.keys)
        if strategy == "best_score":
            search = self._search(shape, where, settings, more=[*others, *nearer_to(self._target, *vectors)])
            return merged(await run_many(self.session, Many(search, vectors[0])), k)
        query = average_query(*vectors, distance=self._target.distance)
        return await run_search(self.session, self._search(shape, where, settings, query=query, more=others))

    async def diverse(
        self,
        query: Any,
        k: int = 10,
        *,
        fetch_k: int | None = None,
        lambda_mult: float = 0.5,
        where: Where | None = None,
        max_distance: float | None = None,
        exact: bool = False,
        settings: SearchSettings | None = None,
    ) -> list[Hit[M]]:
        """Return k of the `fetch_k` nearest rows that are not all alike, in the order of their choice.

        By maximal marginal relevance, see `rowspace.ranking.mmr`. Costs a search for `fetch_k` rows with their
        embeddings, and k times `fetch_k` similarities here.

        Args:
            query: a 1-d array-like of the column's dimension.
            k: rows wanted, at least 1.
            fetch_k: candidates, at least k; four times k and at least 20 by default.
            lambda_mult: from 1 for the nearest rows alone to 0 for variety alone.
            where: conditions on the rows to be found, as in `nearest_many`.
            max_distance: leave out what is farther.
            exact: compare with every row that matches, without the vector index.
            settings: pgvector's settings, until the transaction ends.

        Raises:
            InvalidSetting: k, `fetch_k`, `lambda_mult` or a setting is out of range.
            InvalidVector, InvalidFilter: as in `nearest_many`.
        """
        candidates = checked_candidates(k, fetch_k, lambda_mult)
        shape = Nearest(candidates, max_distance is not None, with_embedding=True, exact=exact)
        search = self._search(shape, where, settings, max_distance, query=query)
        hits = await run_search(self.session, search)
        chosen = mmr(
            [hit.similarity for hit in hits],
            [getattr(hit.entity, self._target.column) for hit in hits],
            k,
            distance=self._target.distance,
            lambda_mult=lambda_mult,
        )
        return [hits[index] for index in chosen]

    async def grouped(
        self,
        query: Any,
        by: str | SQLCoreOperations[Any],
        *,
        groups: int = 10,
        per_group: int = 1,
        where: Where | None = None,
        max_distance: float | None = None,
        exact: bool = False,
        settings: SearchSettings | None = None,
    ) -> list[Group[M]]:
        """Return the groups with the nearest rows, nearest first, and the nearest rows of each.

        Rows whose key is NULL, missing or JSON's null are in no group. Costs an index scan of about
        `4 * groups * per_group` rows, at least 100; ten times that where it came by too few groups; then a pass over
        every row that matches. A group with fewer than `per_group` rows among these costs a pass over the rows of such
        groups: where they are frequent, an index on what you group by pays.

        Args:
            query: a 1-d array-like of the column's dimension.
            by: an attribute such as `Article.section`, or a dotted path in the metadata, as in filters.
            groups: groups wanted, at least 1.
            per_group: rows wanted of each, at least 1.
            where: conditions on the rows to be found, as in `nearest_many`.
            max_distance: leave out what is farther.
            exact: compare with every row that matches, without the vector index.
            settings: pgvector's settings, until the transaction ends.

        Raises:
            ConfigurationError: a path, and the model has no metadata.
            InvalidSetting: a number is out of range.
            InvalidVector, InvalidFilter: as in `nearest_many`, also for a path.
        """
        grouping, key = Grouping(groups, per_group), self._subject.group_key(by)
        search = self._search(Nearest(exact=exact), where, settings, query=query)
        return await run_grouped(self.session, GroupedSearch(search, key, grouping, max_distance))

    def _search(
        self,
        shape: Nearest,
        where: Where | None,
        settings: SearchSettings | None,
        max_distance: float | None = None,
        *,
        query: Any = None,
        more: Sequence[ColumnElement[bool]] = (),
    ) -> Search[M]:
        conditions = self._subject.conditions(where)
        return Search(
            target=self._target,
            shape=shape,
            parameters={**parameters(query, max_distance=max_distance), **conditions.parameters},
            where=(*conditions.clauses, *more),
            keep=conditions.keep and not more,
            settings=self._subject.settings(settings),
            method=self._subject.method,
        )
