"""Advice about one index: the plan of a search, its recall, and the setting that reaches a recall."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from numbers import Integral
from statistics import median
from time import perf_counter
from typing import Any, Unpack

import numpy as np
from sqlalchemy import false, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from rowspace.diagnosis import SearchPlan
from rowspace.distance import Distance, DistanceName
from rowspace.errors import CollectionNotFound, ConfigurationError, mapped_errors
from rowspace.models import Collection
from rowspace.repositories._async.searching import apply_settings, run_search, session_for_few
from rowspace.repositories._async.tunings import check_may_keep, keep_tuning, with_tuning
from rowspace.repositories.given import AsyncAnySession, session_of
from rowspace.repositories.sampling import NothingToSearchBy, as_queries, described, found_of, sample, steps_for
from rowspace.repositories.searches import Scan, Search, SearchOptions, plan_search
from rowspace.repositories.subjects import Where, subject_of
from rowspace.repositories.targets import table_of
from rowspace.settings import SearchSettings, check_count, check_recall
from rowspace.statements import catalog
from rowspace.statements.plans import SETTINGS, Explain, are_few, read_plan
from rowspace.statements.search import parameters
from rowspace.tuning import TUNING, Tuning, TuningPoint, enough, with_setting

__all__ = ["AsyncIndexAdvisor"]


class AsyncIndexAdvisor:
    """Measures searches over a model or a collection and gives advice, in the caller's session and transaction.

    Its settings last until the transaction ends: give it a transaction of its own if later searches should not inherit
    them.

    Args:
        session: a SQLAlchemy async session.
        over: a declarative class with a vector column, or a collection.
        column: the vector attribute, for a model with several.
        distance: what searches order by, for a model; by default the distance of the column's vector index, else
            cosine.

    Raises:
        ConfigurationError: the model has no such vector column, or a column or distance is given for a collection.
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

    async def explain(
        self,
        query: Any,
        k: int = 10,
        *,
        where: Where | None = None,
        **options: Unpack[SearchOptions],
    ) -> SearchPlan:
        """Run a search under EXPLAIN (ANALYZE, BUFFERS) and return its plan, with advice in words.

        This is the statement that `nearest` runs first with the same arguments: if a metadata filter matches few rows,
        the comparison with all of them, else the first scan. Costs that statement and a catalog query.

        Args:
            query: a 1-d array-like of the column's dimension.
            k: number of rows to return, at least 1.
            where: a metadata filter as a dict, or a sequence of conditions on the model.
            options: the options of every vector search; see `rowspace.repositories.SearchOptions`.
        """
        subject = await with_tuning(self.session, self._subject)
        search = plan_search(subject, k, where, options, query=query)
        with mapped_errors():
            found = await self._found_of_few(search)
            if found is None:
                scan = search.scans()[0]
                await apply_settings(self.session, search, scan)
                found = await self._explained(search, scan)
            facts = await self._facts()
            rows = await (await self._connection()).execute(SETTINGS)
            return read_plan(found, described(self._subject, search), facts, dict(map(tuple, rows)))

    async def _found_of_few(self, search: Search[Any]) -> Any:
        """Return the output of EXPLAIN for the comparison of few rows, or None if the search does not use it."""
        if session_for_few(self.session, search) is None:
            return None
        found = await self._explained(search, "few")
        return found if are_few(found) else None

    async def _explained(self, search: Search[Any], scan: Scan) -> Any:
        # From an EXPLAIN statement, the session cannot tell the model.
        bind = {"mapper": self._subject.target.model}
        return await self.session.scalar(Explain(search.statement(scan)), search.parameters, bind_arguments=bind)

    async def recall(
        self,
        k: int = 10,
        *,
        queries: Any = 50,
        where: Where | None = None,
        settings: SearchSettings | None = None,
    ) -> float:
        """Return the recall of searches: the mean share of the true k nearest rows that they find, from 0 to 1.

        Costs two searches per query, one of them exact: a pass over every row that matches.

        Args:
            k: number of rows per search.
            queries: the number of stored rows to search by, each excluding itself; or an array-like of shape (q, n).
            where: a metadata filter as a dict, or a sequence of conditions on the model.
            settings: pgvector's settings, until the transaction ends.

        Raises:
            ConfigurationError: there is no row to search by.
        """
        k = check_count("k", k)
        vectors, more = await self._queries(queries)
        subject = await with_tuning(self.session, self._subject)
        search = plan_search(subject, k + more, where, {"settings": settings}, query=vectors[0])
        truth = await self._truth(search, vectors)
        recall, _ = await self._measured(search, vectors, truth, more)
        return recall

    async def tune(
        self,
        recall: float = 0.98,
        k: int = 10,
        *,
        queries: Any = 100,
        progress: Callable[[TuningPoint], object] | None = None,
    ) -> Tuning:
        """Measure recall and latency over increasing settings, store the curve, and return it.

        The curve is stored in `Collection.index`, or for a model in the comment of its index, which only the index's
        owner may set. From then on, searches use the smallest setting that reaches `recall`, and
        `nearest(..., recall=0.95)` picks another point of the curve; for a model, other processes notice within a
        minute. If no setting reaches the recall, the best one is stored, and `Tuning.advice` says so. Tune again after
        the number of rows has doubled or the index was rebuilt. Costs, per query, one exact search, which is a pass
        over all rows, and up to 14 index searches.

        Args:
            recall: the share of the true k nearest rows to find, above 0 and at most 1.
            k: number of rows per search.
            queries: the number of stored rows to search by, each excluding itself; or an array-like of shape (q, n).
            progress: called with each measurement.

        Raises:
            ConfigurationError: there is no row to search by, or the searches do not use a vector index; the message
                says why.
            InvalidSetting: the recall is out of range.
            PermissionDenied: the curve could not be stored, which is checked before measuring: the role does not own
                the model's index or may not write the collection, or the server is a standby.
        """
        recall, k = check_recall(recall), check_count("k", k)
        vectors, more = await self._queries(queries)
        plain = plan_search(self._subject, k + more, None, {}, query=vectors[0])
        index = await self._index(vectors[0], k + more)
        name, steps = steps_for(index, k + more)
        await self._check_may_keep(index)
        truth = await self._truth(plain, vectors)
        points: list[TuningPoint] = []
        for step in steps:
            search = replace(plain, settings=with_setting(SearchSettings(), name, step))
            points.append(TuningPoint(step, *await self._measured(search, vectors, truth, more)))
            if progress is not None:
                progress(points[-1])
            if enough(points[-1].recall, recall):
                break
        tuning = Tuning(name, recall, k, len(vectors), tuple(points))
        await self._keep(index, tuning)
        return tuning

    async def _check_may_keep(self, index: catalog.IndexFact) -> None:
        if self._subject.collection is None:
            await check_may_keep(self.session, self._subject, index)
            return
        with mapped_errors():
            # PostgreSQL checks the privileges first; no row matches, so nothing is locked or written.
            await self.session.execute(update(Collection).where(false()).values(index={}))

    async def _keep(self, index: catalog.IndexFact, tuning: Tuning) -> None:
        if self._subject.collection is None:
            await keep_tuning(self.session, self._subject, index, tuning)
            return
        with mapped_errors():
            # Not by `merge`, which would write back old values of attributes that have changed since.
            collection = await self.session.get(Collection, self._subject.collection.id)
            if collection is None:
                raise CollectionNotFound.dropped(self._subject.collection.name)
            collection.index = {**collection.index, TUNING: tuning.to_dict()}
            await self.session.flush()
        if collection is not self._subject.collection:
            self._subject.collection.index = collection.index

    async def _index(self, query: Any, k: int) -> catalog.IndexFact:
        plan = await self.explain(query, k, settings=SearchSettings(ef_search=40, probes=1))
        if plan.index is None:
            message = f"Searches in {self._subject.name} do not use a vector index. {' '.join(plan.advice)}"
            raise ConfigurationError(message)
        facts = {fact.name: fact for fact in await self._facts()}
        used = facts[plan.index]
        return facts.get(used.root or used.name, used)

    async def _queries(self, given: Any) -> tuple[list[Any], int]:
        """Return the vectors to search by, and how many hits more than k each search needs: one for itself, or none."""
        if not isinstance(given, Integral):
            return as_queries(self._subject, given), 0
        with mapped_errors():
            vectors = [*await self.session.scalars(sample(self._subject.target, int(given)))]
        if not vectors:
            message = f"{self._subject.name} has no row to search by."
            raise NothingToSearchBy(message)
        return vectors, 1

    async def _truth(self, search: Search[Any], vectors: list[Any]) -> list[list[float]]:
        exact = replace(search, shape=replace(search.shape, exact=True), settings=SearchSettings())
        return [(await self._distances(exact, vector))[0] for vector in vectors]

    async def _measured(
        self, search: Search[Any], vectors: list[Any], truth: list[list[float]], more: int
    ) -> tuple[float, float]:
        recalls, times = [], []
        for vector, nearest in zip(vectors, truth, strict=True):
            found, seconds = await self._distances(search, vector)
            recalls.append(found_of(found[more:], nearest[more:]))
            times.append(seconds)
        # Rounded as it is stored, so that later searches see the value that the caller saw.
        return round(float(np.mean(recalls)), 4), 1e3 * median(times)

    async def _distances(self, search: Search[Any], vector: Any) -> tuple[list[float], float]:
        with_query = replace(search, parameters={**search.parameters, **parameters(vector)})
        began = perf_counter()
        hits = await run_search(self.session, with_query)
        return [hit.distance for hit in hits], perf_counter() - began

    async def _facts(self) -> list[catalog.IndexFact]:
        connection = await self._connection()
        table, schema = table_of(self._subject.target, self._subject.collection, connection)
        return catalog.facts_of(await connection.execute(catalog.index_facts(table, schema)))

    async def _connection(self) -> AsyncConnection:
        return await self.session.connection(bind_arguments={"mapper": self._subject.target.model})
