"""The parts of an index advisor that need no database: queries, the recall of a search, the settings to try."""

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

#: The relative difference up to which two statements may compute the same distance.
_TOLERANCE = 1e-9


class NothingToSearchBy(ConfigurationError):
    """No row has a vector that could be a query."""


def sample(target: Target[Any], count: int) -> Select[Any]:
    """Select the vectors of some rows at random; costs a pass over the rows, without their vectors.

    Raises:
        ConfigurationError: not at least one.
    """
    if count < 1:
        message = f"queries must be at least 1, got {count}."
        raise ConfigurationError(message)
    vector = inspect(target.model).c[target.column]
    rows = select(vector).select_from(target.model).where(*target.conditions())
    return rows.order_by(func.random()).limit(number(count))


def as_queries(subject: Subject[Any], given: Any) -> list[Any]:
    """Return the caller's vectors, checked.

    Raises:
        InvalidVector: one is not a vector of the right dimension.
        ConfigurationError: there are none.
    """
    vectors = subject.vectors(given)
    if not vectors:
        message = "queries contains no vector."
        raise ConfigurationError(message)
    return vectors


def found_of(found: Sequence[float], nearest: Sequence[float]) -> float:
    """Return the share of the true nearest rows that a search found, by distance, so that ties count.

    If there is no row to find, this is 1.
    """
    if not nearest:
        return 1.0
    if isnan(nearest[-1]):
        # The cosine distance to a vector of zeros is the farthest, so that any row is as near.
        return min(len(found), len(nearest)) / len(nearest)
    farthest = nearest[-1] + _TOLERANCE * max(1.0, abs(nearest[-1]))
    return min(sum(distance <= farthest for distance in found), len(nearest)) / len(nearest)


def steps_for(fact: IndexFact, k: int) -> tuple[SettingName, list[int]]:
    """Return the name of an index's setting, and the values to measure."""
    if fact.method == "ivfflat":
        return "probes", ladder("probes", k=k, lists=int(fact.shape.options.get("lists", 100)))
    return "ef_search", ladder("ef_search", k=k)


def described(subject: Subject[Any], search: Any) -> Searched:
    """Return the facts of a search, for the advice."""
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
    """Return how to create the index of a subject that has none; a builder only creates declared indexes."""
    made = "IndexBuilder.create() makes it."
    if subject.collection is not None:
        return made if subject.collection.index else f"Set its `index` to to_dict(HNSW()). {made}"
    column = _column_of(subject)
    if not isinstance(column, Column):
        return "It is computed, so it needs an index on its expression."
    table: Any = column.table
    if isinstance(table, Table) and declared_distances(table, column.key):
        return made
    return f'Declare one, as in HNSW().index("{column.name}") in __table_args__.'


def _name_of(subject: Subject[Any]) -> str:
    column = _column_of(subject)
    return str(column.name) if isinstance(column, Column) else subject.target.column


def _column_of(subject: Subject[Any]) -> Any:
    return inspect(subject.target.model).columns[subject.target.column]
