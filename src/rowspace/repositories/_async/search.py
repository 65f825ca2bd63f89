"""The repository of searches beyond the nearest rows to one query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, Literal, TypeVar, Unpack, overload

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import SQLCoreOperations

from rowspace.distance import Distance, DistanceName
from rowspace.models import Collection, Document
from rowspace.ranking import average_query, mmr
from rowspace.repositories._async.examples import fetch_embeddings
from rowspace.repositories._async.grouping import GroupedSearch, run_grouped
from rowspace.repositories._async.many import Many, run_many
from rowspace.repositories._async.searching import run_search
from rowspace.repositories._async.tunings import with_tuning
from rowspace.repositories.examples import Examples, checked_candidates, merged
from rowspace.repositories.given import AsyncAnySession, session_of
from rowspace.repositories.searches import SearchOptions, plan_search
from rowspace.repositories.subjects import Subject, Where, subject_of
from rowspace.results import Group, Hit
from rowspace.statements.examples import far_from, nearer_to, without
from rowspace.statements.grouping import Grouping

__all__ = ["AsyncSearchRepository"]

M = TypeVar("M")


class AsyncSearchRepository(Generic[M]):
    """Searches by many queries, by examples, for variety and by group, in the caller's session.

    The session and its transaction belong to the caller: the repository never commits, rolls back or opens a session.
    Every search is as complete as `AsyncRepository.nearest`: rows that the index scan did not reach are searched
    exactly. A search without conditions raises `CollectionNotFound` if the collection has been dropped.

    Args:
        session: a SQLAlchemy async session.
        over: a declarative class with a vector column, or a collection.
        column: the key of that column, where a model has several.
        distance: what searches order by, for a model; by default the distance of the column's vector index, else
            cosine.

    Raises:
        ConfigurationError: there is no such vector column, there are several and `column` does not say which, or either
            option is given for a collection.
    """

    @overload
    def __init__(self: AsyncSearchRepository[Document], session: AsyncAnySession, over: Collection) -> None: ...

    @overload
    def __init__(
        self,
        session: AsyncAnySession,
        over: type[M],
        *,
        column: str | None = None,
        distance: Distance | DistanceName | None = None,
    ) -> None: ...

    def __init__(
        self,
        session: AsyncAnySession,
        over: type[M] | Collection,
        *,
        column: str | None = None,
        distance: Distance | DistanceName | None = None,
    ) -> None:
        self.session: AsyncSession = session_of(session, AsyncSession)
        self._subject = subject_of(over, column, distance)
        self._target = self._subject.target

    async def nearest_many(
        self,
        queries: Any,
        k: int = 10,
        *,
        where: Where | None = None,
        **options: Unpack[SearchOptions],
    ) -> list[list[Hit[M]]]:
        """Return the k rows nearest to each of many vectors, nearest first: one list per query, in the same order.

        The results equal those of one `nearest` per query, in one statement per 1,000 queries. Costs one index scan per
        query; queries that find too few rows are searched again together, by an iterative scan and then exactly. With
        `where`, the matching rows are counted first, up to a limit: for k=10, 20,000 of a million rows or 4,472 of
        50,000 and fewer; 1,000 for fewer than ten queries. Below the limit, the rows are found once and compared with
        every query.

        Args:
            queries: an array-like of shape (q, n), or a sequence of vectors of the column's type.
            k: number of rows to return for each query, at least 1.
            where: a metadata filter as a dict, or a sequence of conditions on the model; the same for all queries.
            options: those of every search by vector; see `rowspace.repositories.SearchOptions`.

        Raises:
            InvalidVector: a query is not a vector of the column's dimension; the message names its index.
            InvalidSetting: k or a setting is out of range, or `recall` is given and no tuned curve reaches it.
            InvalidFilter: the metadata filter is malformed.
            ConfigurationError: `max_distance` and `min_similarity` are both given.
            TypeError: an unknown option.
        """
        search = plan_search(await self._tuned(), k, where, options)
        return await run_many(self.session, Many(search, self._subject.vectors(queries)))

    async def similar_to(
        self,
        key: Any,
        k: int = 10,
        *,
        where: Where | None = None,
        **options: Unpack[SearchOptions],
    ) -> list[Hit[M]]:
        """Return the k rows nearest to a stored row, without that row, nearest first.

        One statement: the row's embedding stays on the server. Costs what `nearest` costs.

        Args:
            key: the primary key of the row (a tuple for a composite key), or the id of a document.
            k: rows wanted, at least 1.
            where: conditions on the rows to be found, as in `nearest_many`.
            options: those of every search by vector; see `rowspace.repositories.SearchOptions`.

        Raises:
            RowNotFound: there is no such row, or it has no embedding.
            ConfigurationError, InvalidText: the key has a different type than the rows' key.
            InvalidSetting, InvalidFilter, ConfigurationError: as in `nearest_many`.
        """
        parts = self._subject.key(key)
        search = plan_search(await self._tuned(), k, where, options)
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
        **options: Unpack[SearchOptions],
    ) -> list[Hit[M]]:
        """Return k rows similar to the positive and dissimilar to the negative examples, without the examples.

        Examples are keys or vectors, in any mixture: a list, an array or the dict of a sparse vector is a vector, a
        tuple is a composite key, anything else is a key. The embeddings of keys are fetched first, in one statement.

        - `average` searches once, for `mean(positive) + (mean(positive) - mean(negative))`, which is computed by the
          client; distances are to that vector. For cosine distance, each example is first scaled to unit length.
        - `best_score` ranks each row by its nearest positive example, and leaves out rows that are nearer to a negative
          one; distances are to the nearest positive example. Costs one index scan per positive example, and for each
          row that a scan visits its distance to every example.

        The formulas are those of Qdrant (manual, "Recommendation API": `average_vector` and `best_score`), which ranks
        rows that are nearer to a negative example last instead of leaving them out.

        Args:
            positive: at least one example.
            negative: any number of examples.
            k: rows wanted, at least 1.
            strategy: `average` or `best_score`.
            where: conditions on the rows to be found, as in `nearest_many`.
            options: those of every search by vector; see `rowspace.repositories.SearchOptions`.

        Raises:
            RowNotFound: there is no row of a key, or it has no embedding.
            InvalidVector: an example is not a vector of the column's dimension.
            ConfigurationError: there is no positive example, the strategy is unknown, bit vectors would be averaged,
                or a key has a different type than the rows' key.
            InvalidSetting, InvalidFilter: as in `nearest_many`.
        """
        examples = Examples.of(self._subject, positive, negative, strategy)
        vectors = examples.vectors(await fetch_embeddings(self.session, self._subject, examples.keys))
        more = without(self._target, examples.keys)
        if strategy == "best_score":
            more += nearer_to(self._target, *vectors)
            if options.get("min_distance") is not None:
                more += far_from(self._target, vectors[0])
            search = plan_search(await self._tuned(), k, where, options, more=more)
            return merged(await run_many(self.session, Many(search, vectors[0])), k)
        query = average_query(*vectors, distance=self._target.distance)
        return await run_search(
            self.session, plan_search(await self._tuned(), k, where, options, query=query, more=more)
        )

    async def diverse(
        self,
        query: Any,
        k: int = 10,
        *,
        fetch_k: int | None = None,
        lambda_mult: float = 0.5,
        where: Where | None = None,
        **options: Unpack[SearchOptions],
    ) -> list[Hit[M]]:
        """Return k diverse rows out of the `fetch_k` nearest, in the order in which they are selected.

        Selects by maximal marginal relevance, see `rowspace.ranking.mmr`. Costs a search for `fetch_k` rows with their
        embeddings, and k times `fetch_k` similarities on the client.

        Args:
            query: a 1-d array-like of the column's dimension.
            k: rows wanted, at least 1.
            fetch_k: number of candidates, at least k; by default four times k and at least 20.
            lambda_mult: from 1 (only nearness counts) to 0 (only diversity counts).
            where: conditions on the rows to be found, as in `nearest_many`.
            options: those of every search by vector; see `rowspace.repositories.SearchOptions`.

        Raises:
            InvalidSetting: k, `fetch_k`, `lambda_mult` or a setting is out of range.
            InvalidVector, InvalidFilter: as in `nearest_many`.
        """
        candidates = checked_candidates(k, fetch_k, lambda_mult)
        options["with_embedding"] = True
        hits = await run_search(self.session, plan_search(await self._tuned(), candidates, where, options, query=query))
        embeddings = [getattr(hit.entity, self._target.column) for hit in hits]
        chosen = mmr(
            [hit.similarity for hit in hits],
            # A column of pgvector's type returns bits as text.
            [self._target.type.decode(one) if isinstance(one, str) else one for one in embeddings],
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
        **options: Unpack[SearchOptions],
    ) -> list[Group[M]]:
        """Return the groups with the nearest rows, nearest first, and the nearest rows of each group.

        Rows whose key is NULL, missing or JSON null belong to no group. Costs an index scan of about
        `4 * groups * per_group` rows, at least 100; ten times that if it found too few groups; then a pass over every
        row that matches. If a group has fewer than `per_group` rows among these, one more pass reads the rows of such
        groups; if that happens often, an index on the grouping key pays off.

        Args:
            query: a 1-d array-like of the column's dimension.
            by: an attribute such as `Article.section`, or a dotted path in the metadata, as in filters.
            groups: number of groups to return, at least 1.
            per_group: number of rows to return of each group, at least 1.
            where: conditions on the rows to be found, as in `nearest_many`.
            options: those of every search by vector; see `rowspace.repositories.SearchOptions`.

        Raises:
            ConfigurationError: `by` is a path, and the model has no metadata.
            InvalidSetting: a number is out of range.
            InvalidVector, InvalidFilter: as in `nearest_many`, also for a path.
        """
        grouping, key = Grouping(groups, per_group), self._subject.group_key(by)
        search = plan_search(await self._tuned(), groups, where, options, query=query)
        return await run_grouped(self.session, GroupedSearch(search, key, grouping))

    async def _tuned(self) -> Subject[M]:
        return await with_tuning(self.session, self._subject)
