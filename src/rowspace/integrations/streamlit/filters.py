"""Convert a collection's metadata to widgets, and their values to a filter. No Streamlit, no database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rowspace.results import FacetCount, Stats

__all__ = [
    "MOST_KEYS",
    "MOST_VALUES",
    "Facet",
    "choice",
    "filter_of",
    "keys_of",
    "label_of",
    "numeric",
    "range_of",
    "still",
]

#: How many keys get a widget. Each requires a pass over the documents.
MOST_KEYS = 6
#: How many values of a key are counted.
MOST_VALUES = 25
# If the most common values cover a smaller share of the documents, the list is of little use.
_WORTHWHILE = 0.25
# Browsers round larger integers.
_EXACT = 2**53


@dataclass(frozen=True, slots=True)
class Facet:
    """A key to filter by.

    Args:
        key: the metadata key, dotted if nested.
        kind: `choice` for values, `tags` for elements of arrays, `range` for numbers.
        values: values with their counts, most common first; empty for a range.
        exact: whether all documents were counted, rather than a sample.
        low: the smallest number of a range.
        high: the largest number of a range.
    """

    key: str
    kind: Literal["choice", "tags", "range"]
    values: tuple[tuple[Any, int], ...] = ()
    low: float = 0
    high: float = 0
    exact: bool = True


def keys_of(metadata: Iterable[Mapping[str, Any]], most: int = MOST_KEYS) -> dict[str, list[Any]]:
    """Return the most common keys with scalar or array values, in order of appearance, with the values seen."""
    seen: dict[str, list[Any]] = {}
    for one in metadata:
        for key, value in _flat(one):
            seen.setdefault(key, []).append(value)
    order = Counter({key: len(values) for key, values in seen.items()}).most_common(most)
    chosen = {key for key, _ in order}
    return {key: values for key, values in seen.items() if key in chosen}


def _flat(metadata: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in metadata.items():
        # In a filter, a dot separates keys and a dollar sign starts an operator.
        if not key or "." in key or key.startswith("$"):
            continue
        if isinstance(value, Mapping):
            if not prefix:
                yield from _flat(value, f"{key}.")
        elif value is not None:
            yield f"{prefix}{key}", value


def numeric(values: Sequence[Any]) -> bool:
    """Return whether all values are numbers, with too many different ones for a list."""
    return all(_is_number(value) for value in values) and len(set(values)) > 10


def choice(key: str, seen: Sequence[Any], counts: Sequence[FacetCount], *, of: int, every: int = 1) -> Facet | None:
    """Return a facet with values to select, or None if they do not group the documents, as with ids and titles.

    Args:
        key: the metadata key.
        seen: some of its values.
        counts: the most common values with their counts.
        of: the approximate number of documents.
        every: the sampling interval; 1 means that all documents were counted.
    """
    values = tuple((one.value, one.count * every) for one in counts if _is_scalar(one.value))
    covered = sum(count for _, count in values)
    if not values or (len(values) >= MOST_VALUES and covered < _WORTHWHILE * of):
        return None
    kind: Literal["tags", "choice"] = "tags" if any(isinstance(value, list) for value in seen) else "choice"
    return Facet(key, kind, values, exact=every == 1)


def range_of(key: str, stats: Stats) -> Facet | None:
    """Return a range facet, or None if the values are not numbers or are all equal."""
    low, high = stats.minimum, stats.maximum
    if not all(_is_number(one) and abs(one) <= _EXACT for one in (low, high)) or low == high:
        return None
    # A slider requires both ends to have the same type.
    kind = int if isinstance(low, int) and isinstance(high, int) else float
    return Facet(key, "range", low=kind(low), high=kind(high))


def still(facet: Facet, chosen: Any) -> Any:
    """Return the part of an earlier choice that is still valid, because the facet's values can change."""
    if facet.kind != "range":
        values = {value for value, _ in facet.values}
        return [value for value in chosen if value in values]
    low, high = (type(facet.low)(min(max(one, facet.low), facet.high)) for one in chosen)
    return low, high


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def filter_of(facets: Iterable[Facet], chosen: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the filter for the choices by key: a list of values, or the two ends of a range."""
    found: dict[str, Any] = {}
    for facet in facets:
        given = chosen.get(facet.key)
        if not given:
            continue
        if facet.kind == "range":
            # An end that was not moved stays open, because values outside the sample can lie beyond it.
            ends = {"$gte": given[0]} if given[0] > facet.low else {}
            ends |= {"$lte": given[1]} if given[1] < facet.high else {}
            if ends:
                found[facet.key] = ends
        else:
            found[facet.key] = {"$any" if facet.kind == "tags" else "$in": [*given]}
    return found or None


def label_of(value: Any, count: int, *, exact: bool = True) -> str:
    """Return the label of a value with its count. An estimated count is rounded."""
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    return f"{shown:.60} ({count:,})" if exact else f"{shown:.60} (about {float(f'{count:.2g}'):,.0f})"


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)
