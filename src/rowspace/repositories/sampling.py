"""What an index advisor decides without a database: queries, recall of one search, the settings to try."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import Any

from sqlalchemy import Column, Select, Table, func, inspect, select

from rowspace.errors import ConfigurationError
from rowspace.indexes import declared_distances
from rowspace.repositories.subjects import Subject
from rowspace.statements.catalog import IndexFact
from rowspace.statements.plans import Searched
from rowspace.statements.search import Target, number
from rowspace.tuning import SettingName, ladder

__all__ = ["NothingToSearchBy", "as_queries", "described", "found_of", "sample", "steps_for"]

#: Distances of one pair of vectors differ by this share between the two statements that compute them.
_TOLERANCE = 1e-9


class NothingToSearchBy(ConfigurationError):
    """There is no row whose vector could be a query."""


def sample(target: Target[Any], count: int) -> Select[Any]:
    """Select the vectors of some rows at random; costs a pass over the rows, without their vectors.

    Raises:
        ConfigurationError: not at least one.
    """
    if count < 1:
        message = f"queries is at least 1, got {count}."
        raise ConfigurationError(message)
    vector = inspect(target.model).c[target.column]
    rows = select(vector).select_from(target.model).where(*target.conditions())
    return rows.order_by(func.random()).limit(number(count))


def as_queries(subject: Subject[Any], given: Any) -> list[Any]:
    """Return vectors that were given, checked.

    Raises:
        InvalidVector: one is none, or not of the right dimension.
        ConfigurationError: there is none.
    """
    vectors = subject.vectors(given)
    if not vectors:
        message = "queries holds no vector."
        raise ConfigurationError(message)
    return vectors


def found_of(found: Sequence[float], nearest: Sequence[float]) -> float:
    """Return the share of the true nearest that a search found, by distances, so that rows at the same distance count.

    Without any row to find, all was found.
    """
    if not nearest:
        return 1.0
    if isnan(nearest[-1]):
        # The cosine distance of a vector of zeros: it is the farthest, and any row is as near.
        return min(len(found), len(nearest)) / len(nearest)
    farthest = nearest[-1] + _TOLERANCE * max(1.0, abs(nearest[-1]))
    return min(sum(distance <= farthest for distance in found), len(nearest)) / len(nearest)


def steps_for(fact: IndexFact, k: int) -> tuple[SettingName, list[int]]:
    """Return the setting that an index has, and the values to measure."""
    if fact.method == "ivfflat":
        return "probes", ladder("probes", k=k, lists=int(fact.shape.options.get("lists", 100)))
    return "ef_search", ladder("ef_search", k=k)


def described(subject: Subject[Any], search: Any) -> Searched:
    """Return what a search is, for the advice."""
    return Searched(
        name=subject.name,
        distance=subject.target.distance,
        quantize=subject.target.quantize,
        k=search.candidates or search.shape.k,
        exact=search.shape.exact,
        filtered=bool(search.where),
        column=None if subject.collection is not None else _name_of(subject),
        remedy=_remedy(subject),
    )


def _remedy(subject: Subject[Any]) -> str:
    """Return what makes the index of a subject that has none: a builder makes no more than is asked for."""
    made = "IndexBuilder.create() makes it."
    if subject.collection is not None:
        return made if subject.collection.index else f"Its `index` asks for none: with to_dict(HNSW()) there, {made}"
    column = _column_of(subject)
    if not isinstance(column, Column):
        return "It is computed: an index on that expression serves it."
    table: Any = column.table
    if isinstance(table, Table) and declared_distances(table, column.key):
        return made
    return f'Declare one, as in HNSW().index("{column.name}") in __table_args__.'


def _name_of(subject: Subject[Any]) -> str:
    column = _column_of(subject)
    return str(column.name) if isinstance(column, Column) else subject.target.column


def _column_of(subject: Subject[Any]) -> Any:
    return inspect(subject.target.model).columns[subject.target.column]
