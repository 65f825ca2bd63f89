"""The repository of searches by keyword, and by vector and keyword at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar, overload

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.distance import Distance, DistanceName
from rowspace.errors import mapped_errors
from rowspace.models import Collection, Document
from rowspace.repositories._async.dropped import refuse_dropped, refuse_dropped_under
from rowspace.repositories._async.searching import apply_settings
from rowspace.repositories._async.tunings import with_tuning
from rowspace.repositories.given import AsyncAnySession, session_of
from rowspace.repositories.searches import Search, SearchOptions, plan_search
from rowspace.repositories.subjects import Where, subject_of
from rowspace.repositories.texts import hybrid_hit, marker_of, text_hit, text_target_of
from rowspace.results import HybridHit, TextHit
from rowspace.settings import SearchSettings
from rowspace.statements.highlight import Highlight
from rowspace.statements.hybrid import Fusion, FusionMethod, HybridSearch, hybrid
from rowspace.statements.search import built
from rowspace.statements.text import MAX_RANKED, TextSearch, by_text, text_parameters

__all__ = ["AsyncHybridRepository"]

M = TypeVar("M")


class AsyncHybridRepository(Generic[M]):
    """Searches by keyword, and by vector and keyword at once, in the caller's session and transaction.

    A text query has the syntax of a search box: all words must match, `"a phrase"`, `or`, `-without`. Chinese, Japanese
    and Korean text is found by any run of characters, on a stock PostgreSQL. A search without conditions raises
    `CollectionNotFound` if the collection has been dropped.

    Args:
        session: a SQLAlchemy async session.
        over: a collection, or a declarative class with a vector and a text column.
        text: the text attribute, for a model with several; an attribute of type TSVECTOR is used as it is.
        language: the text-search configuration of the model's index on `rowspace.text_vector`; `simple` by default.
        column: the vector attribute, for a model with several.
        distance: what searches order by, for a model; by default the distance of the column's vector index, else
            cosine.

    Raises:
        ConfigurationError: the model has no such columns, or an option is given that the collection determines.
    """

    @overload
    def __init__(self: AsyncHybridRepository[Document], session: AsyncAnySession, over: Collection) -> None: ...

    @overload
    def __init__(
        self,
        session: AsyncAnySession,
        over: type[M],
        *,
        text: str | None = None,
        language: str | None = None,
        column: str | None = None,
        distance: Distance | DistanceName | None = None,
    ) -> None: ...

    def __init__(
        self,
        session: AsyncAnySession,
        over: type[M] | Collection,
        *,
        text: str | None = None,
        language: str | None = None,
        column: str | None = None,
        distance: Distance | DistanceName | None = None,
    ) -> None:
        self.session: AsyncSession = session_of(session, AsyncSession)
        self._subject = subject_of(over, column, distance)
        self._target = text_target_of(self._subject, text, language)

    async def text(
        self,
        query: str,
        k: int = 10,
        *,
        where: Where | None = None,
        highlight: Highlight | bool = False,
        max_ranked: int | None = MAX_RANKED,
    ) -> list[TextHit[M]]:
        """Return the k rows that match a text best, best first; rows of equal rank are ordered by primary key.

        Costs a scan of the text index, and one tsvector per matching row: about 0.1 ms for 90 English words, 0.8 us per
        CJK character. A query that consists of stop words finds nothing. Set a `statement_timeout` if the query comes
        from untrusted users: an `or` of many common words ranks many rows, each at a cost that grows with the query.

        Args:
            query: at most 1,000 characters, in the syntax of `websearch_to_tsquery`.
            k: number of rows to return, at least 1.
            where: a metadata filter, or conditions on the model.
            highlight: mark the words that were found, in an excerpt; a `Highlight` says how.
            max_ranked: the number of matching rows to rank; None ranks all of them. If more rows match, the first ones
                found are ranked.

        Raises:
            InvalidText: the query is too long.
            InvalidFilter, InvalidSetting: the filter is malformed; a number is out of range.
            ConfigurationError: the server does not have the language.
        """
        marker = marker_of(highlight, self._target, query)
        conditions = self._subject.conditions(where)
        shape = TextSearch(k, max_ranked, marker is not None)
        statement = built(by_text, self._target, shape, conditions.clauses, keep=conditions.keep)
        values = {**text_parameters(query), **conditions.parameters, **(marker.parameters if marker else {})}
        with mapped_errors():
            await self._plan_for_values(conditions.clauses)
            hits = [text_hit(row, marker) for row in await self.session.execute(statement, values)]
        if not hits and not conditions.clauses:
            await refuse_dropped(self.session, self._subject.collection)
        return hits

    async def hybrid(
        self,
        text: str,
        vector: Any,
        k: int = 10,
        *,
        where: Where | None = None,
        fusion: Fusion | FusionMethod = "rrf",
        highlight: Highlight | bool = False,
        exact: bool = False,
        settings: SearchSettings | None = None,
    ) -> list[HybridHit[M]]:
        """Return the k best rows by vector and by text, highest score first, in one statement.

        Costs what `nearest` and `text` cost; only keys are joined, and k rows are read. If no row matches the text, the
        order is by vector. A row that the text excludes by `-word` may still be found by its vector.

        Args:
            text: the keyword query; see `text`.
            vector: a 1-d array-like of the column's dimension.
            k: rows wanted, at least 1.
            where: a metadata filter, or conditions on the model, for both sides.
            fusion: `rrf`, `weighted`, or a `Fusion` with weights and numbers of candidates.
            highlight: mark the words that were found, in an excerpt; a `Highlight` says how.
            exact: compare with every row that matches, without the vector index.
            settings: pgvector's settings, until the transaction ends.

        Raises:
            InvalidVector, InvalidText: the query is not a vector of the column's dimension; the text is too long.
            InvalidFilter, InvalidSetting: the filter is malformed; a number is out of range.
            ConfigurationError: the server does not have the language.
        """
        fused = fusion if isinstance(fusion, Fusion) else Fusion(fusion)
        marker = marker_of(highlight, self._target, text)
        values = {**fused.parameters, **text_parameters(text), **(marker.parameters if marker else {})}
        options: SearchOptions = {"exact": exact, "settings": settings}
        subject = await with_tuning(self.session, self._subject)
        search = plan_search(subject, fused.fetch(k), where, options, query=vector)
        shape = HybridSearch(
            k,
            search.shape.k,
            method=fused.method,
            max_ranked=fused.max_ranked,
            candidates=search.candidates,
            highlight=marker is not None,
        )
        return [hybrid_hit(row, self._target, marker) for row in await self._run(search, shape, values)]

    async def _run(self, search: Search[M], shape: HybridSearch, values: Mapping[str, Any]) -> list[Any]:
        """Return the rows of the first scan that found all the vector candidates that there are."""
        rows: list[Any] = []
        target = replace(self._target, target=search.target)
        with mapped_errors():
            await self._plan_for_values(search.where)
            for scan in search.scans():
                await apply_settings(self.session, search, scan)
                now = replace(shape, exact=scan == "exact")
                statement = built(hybrid, target, now, search.where, keep=search.keep)
                rows = [*await self.session.execute(statement, {**search.parameters, **values})]
                if rows and rows[0][4] >= shape.fetch_k:
                    break
            if not rows:
                await refuse_dropped_under(self.session, search)
        return rows

    async def _plan_for_values(self, where: Sequence[ColumnElement[bool]]) -> None:
        """Have the server plan for this text and these conditions, until the transaction ends.

        Drivers prepare a repeated statement, and after five executions the server switches to a generic plan. Which
        index serves a filter depends on how many rows match it: under a filter, the generic plan took six times as
        long.
        """
        if not where:
            return
        connection = await self.session.connection(bind_arguments={"mapper": self._subject.target.model})
        await connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_custom_plan")
