"""Vector searches without I/O: their options, and their statements."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import isnan, nan
from numbers import Real
from typing import Any, Generic, Literal, TypedDict, TypeVar

from sqlalchemy import ColumnElement

from rowspace.errors import ConfigurationError, InvalidSetting, InvalidVector
from rowspace.models import Collection
from rowspace.repositories.subjects import Subject, Where
from rowspace.settings import DEFAULT_EF_SEARCH, NO_SETTINGS, SearchSettings, candidates, covering
from rowspace.statements.few import nearest_of_few
from rowspace.statements.search import Nearest, Target, built, nearest, parameters

__all__ = ["Scan", "Search", "SearchOptions", "plan_search"]

M = TypeVar("M")

Scan = Literal["plain", "iterative", "exact", "few", "among"]

#: The scans that use the vector index; the others compare every row that they find.
_WALKS = {"plain", "iterative"}

#: Stands for a query that the statement supplies.
LATER = object()


class SearchOptions(TypedDict, total=False):
    """The keyword options of every vector search.

    Args:
        max_distance: leave out rows that are farther. With a low `ef_search` or `probes`, an approximate index may miss
            rows within the limit, and return fewer than k; `exact` finds them all.
        min_distance: leave out rows that are nearer.
        min_similarity: the same limit as `max_distance`, as a similarity; see `Distance.similarity`.
        recall: the share of the true k nearest rows to find, above 0 and at most 1: uses the smallest `ef_search` or
            `probes` that reached it when the index was tuned.
        exact: compare with every row that matches, without the vector index.
        with_embedding: load the embedding of each hit in the same statement.
        settings: pgvector's settings, until the transaction ends.
    """

    max_distance: float | None
    min_distance: float | None
    min_similarity: float | None
    recall: float | None
    exact: bool
    with_embedding: bool
    settings: SearchSettings | None


@dataclass(frozen=True, slots=True)
class Search(Generic[M]):
    """One search, ready to run."""

    target: Target[M]
    shape: Nearest
    parameters: dict[str, Any]
    where: tuple[ColumnElement[bool], ...]
    #: Whether the same condition objects will be used again, so that caching the statement pays.
    keep: bool
    settings: SearchSettings
    #: The method of the index, if it is known; settings of the other method are then not set.
    method: str | None
    #: The conditions for `nearest_of_few`, if any, and the values by which the first of them finds rows.
    few: tuple[ColumnElement[bool], ...]
    few_by: Hashable
    #: The collection, for documents.
    collection: Collection | None

    @property
    def found_by(self) -> Hashable | None:
        """The values by which an index finds the rows; None if the search should not try whether they are few."""
        if not self.few or self.shape.exact or self.settings.iterative_scan is not None:
            return None
        return self.target, self.few_by

    @property
    def is_limited(self) -> bool:
        """Whether the search may find nothing although there are rows."""
        return bool(self.where) or self.shape.max_distance or self.shape.min_distance

    @property
    def candidates(self) -> int | None:
        """The number of rows to re-rank, with a quantized index; else None."""
        if self.target.quantize is None or self.shape.exact:
            return None
        return candidates(self.target.quantize, self.shape.k, self.settings)

    def settings_for(self, scan: Scan) -> SearchSettings:
        """Return the settings of one scan."""
        settings = self._covering(self.candidates)
        return _iterating(settings) if scan == "iterative" else settings

    def _covering(self, candidates: int | None) -> SearchSettings:
        return self.settings if candidates is None else covering(self.settings, candidates)

    def scans(self) -> tuple[Scan, ...]:
        """Return the scans to try in turn, each if the one before may have missed rows.

        A plain index scan ends after `ef_search` rows, however many of them a filter, a row-level policy or dead rows
        remove. An iterative scan continues up to `max_scan_tuples`. If the caller sets `iterative_scan`, only that scan
        is tried.
        """
        if self.shape.exact:
            return ("exact",)
        if self.settings.iterative_scan is not None:
            return ("iterative", "exact") if self.settings.iterative_scan == "relaxed_order" else ("plain",)
        candidates = self.candidates
        limit = self._covering(candidates).ef_search or DEFAULT_EF_SEARCH
        if self.where or self.shape.min_distance or (candidates or self.shape.k) > limit:
            return ("iterative", "exact")
        return ("plain", "iterative", "exact")

    def statement(self, scan: Scan, *, columns: bool = False) -> Any:
        """Return the statement of one scan, which selects the model or `Nearest.columns`.

        The statement of `few` has an additional first column.
        """
        shape = self.shape_of(scan, columns=columns)
        if scan == "few":
            return nearest_of_few(self.target, shape, *self.few)
        return built(nearest, self.target, shape, self.where, keep=self.keep)

    def shape_of(self, scan: Scan, *, columns: bool = False) -> Nearest:
        """Return the shape of the statement of one scan."""
        candidates = self.candidates if scan in _WALKS else None
        if scan == "plain" and not columns and candidates is None:
            return self.shape
        return _shaped(self.shape, scan, columns=columns, candidates=candidates)


_nearest = lru_cache(256)(Nearest)


@lru_cache(256)
def _shaped(shape: Nearest, scan: Scan, *, columns: bool, candidates: int | None) -> Nearest:
    exact = shape.exact if scan == "plain" else scan not in _WALKS
    return replace(
        shape,
        exact=exact,
        iterative=scan == "iterative",
        columns=columns,
        candidates=candidates,
    )


@lru_cache(256)
def _iterating(settings: SearchSettings) -> SearchSettings:
    return replace(settings, iterative_scan="relaxed_order")


def plan_search(
    subject: Subject[M],
    k: int,
    where: Where | None,
    options: SearchOptions,
    *,
    query: Any = LATER,
    more: Sequence[ColumnElement[bool]] = (),
) -> Search[M]:
    """Return the search for the k rows nearest to `query`, which the statement may supply.

    Args:
        subject: what is searched.
        k: number of rows to return.
        where: the caller's conditions.
        options: the caller's options.
        query: a vector; by default the statement supplies it.
        more: additional conditions of this kind of search.

    Raises:
        TypeError: an unknown option.
        InvalidVector: there is no query.
        InvalidSetting: k, a setting, a limit or the recall is out of range.
        InvalidFilter: the metadata filter is malformed.
        ConfigurationError: `max_distance` and `min_similarity` are both given.
    """
    if query is None:
        message = "A search by distance needs a vector, got None."
        raise InvalidVector(message)
    least, farthest, settings = _options(options, subject) if options else (None, None, None)
    # Cached, because few shapes are used again and again, and creating one costs as much as the rest of this function.
    shape = (_nearest if type(k) is int else Nearest)(
        k,
        farthest is not None,
        least is not None,
        options.get("with_embedding", False),
        options.get("exact", False),
    )
    conditions = subject.conditions(where)
    bound = parameters(None if query is LATER else query, max_distance=farthest, min_distance=least)
    return Search(
        target=subject.target_under(where),
        shape=shape,
        parameters={**bound, **conditions.parameters},
        where=(*conditions.clauses, *more),
        keep=conditions.keep and not more,
        settings=subject.settings(settings),
        method=subject.method,
        few=() if more else conditions.few,
        few_by=conditions.few_by,
        collection=subject.collection,
    )


def _check(options: Mapping[str, Any]) -> None:
    known = SearchOptions.__annotations__
    if unknown := options.keys() - known:
        message = (
            f"A search has no option {', '.join(map(repr, sorted(unknown)))}. Its options are {', '.join(known)}, and "
            "the parameters of the method, such as k and where."
        )
        raise TypeError(message)
    settings = options.get("settings")
    if settings is not None and not isinstance(settings, SearchSettings):
        message = f"settings must be a SearchSettings, as in SearchSettings(ef_search=100), got {settings!r:.60}."
        raise InvalidSetting(message)


def _limit(options: Mapping[str, Any], name: str) -> float | None:
    """Return a limit as a float, which every driver accepts."""
    value = options.get(name)
    if value is None:
        return None
    try:
        number = float(value) if not isinstance(value, bool) and isinstance(value, Real) else nan
    except OverflowError:
        number = nan
    if isnan(number):
        message = f"{name} must be a number in the range of a float, got {value!r:.60}."
        raise InvalidSetting(message)
    return number


def _options(options: SearchOptions, subject: Subject[Any]) -> tuple[float | None, float | None, SearchSettings | None]:
    """Return the minimum and maximum distance, and the requested settings."""
    _check(options)
    farthest, similarity = _limit(options, "max_distance"), _limit(options, "min_similarity")
    if similarity is not None:
        if farthest is not None:
            message = "max_distance and min_similarity express the same limit. Pass only one of them."
            raise ConfigurationError(message)
        farthest = subject.target.distance.distance_at(similarity)
    settings, recall = options.get("settings"), options.get("recall")
    asked = settings if recall is None else replace(settings or NO_SETTINGS, recall=recall)
    return _limit(options, "min_distance"), farthest, asked
