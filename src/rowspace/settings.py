"""pgvector's settings for one search, as `SET LOCAL` statements of validated numbers.

SET does not accept bind parameters, a plain SET leaks through the pool, and the workers of Citus ignore set_config().
The only way left is a literal `SET LOCAL`, so this module checks that every value is a number within its range.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, Literal, get_args

from rowspace.errors import InvalidSetting

__all__ = [
    "DEFAULT_EF_SEARCH",
    "MAX_EF_SEARCH",
    "NO_SETTINGS",
    "OVERSAMPLE",
    "IterativeScan",
    "SearchSettings",
    "candidates",
    "check_count",
    "check_number",
    "check_recall",
    "covering",
    "is_whole",
]

IterativeScan = Literal["off", "strict_order", "relaxed_order"]

#: pgvector's default for `hnsw.ef_search`; an index scan returns no more rows than this.
DEFAULT_EF_SEARCH = 40

#: The maximum of `hnsw.ef_search`.
MAX_EF_SEARCH = 1_000


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """Settings of one search; None keeps the server's value. They last until the transaction ends.

    Args:
        ef_search: candidates kept by an HNSW scan, 1 to 1000.
        probes: lists visited by an IVFFlat scan, 1 to 32768.
        iterative_scan: whether a scan continues until enough rows pass the filter; None lets the search decide.
        max_scan_tuples: number of rows after which an iterative HNSW scan stops, at least 1.
        scan_mem_multiplier: memory of an iterative scan as a multiple of work_mem, 1 to 1000.
        oversample: with a quantized index, the number of candidates to re-rank by the true distance, as a multiple of
            k, 1 to 1000; `ef_search` is raised to cover them. By default `ef_search` candidates if that is given, else
            2 times k for halfvec and 8 times k for bit.
        recall: the share of the true k nearest rows to find, above 0 and at most 1, instead of `ef_search` and
            `probes`: selects the smallest setting that reached it when the index was tuned.

    Source: pgvector's README, "Query Options" and "Iterative Index Scans".
    """

    ef_search: int | None = None
    probes: int | None = None
    iterative_scan: IterativeScan | None = None
    max_scan_tuples: int | None = None
    scan_mem_multiplier: int | None = None
    oversample: int | None = None
    recall: float | None = None

    def __post_init__(self) -> None:
        self._check_recall()
        for name, (_, low, high) in {**_NUMBERS, "oversample": ("", 1, 1_000)}.items():
            value = getattr(self, name)
            if value is not None and not is_whole(value, low, high):
                message = f"{name} must be a whole number from {low} to {high}, got {value!r}."
                raise InvalidSetting(message)
        if self.iterative_scan is not None and self.iterative_scan not in get_args(IterativeScan):
            message = (
                f"iterative_scan must be one of {', '.join(get_args(IterativeScan))}, got {self.iterative_scan!r}."
            )
            raise InvalidSetting(message)

    def _check_recall(self) -> None:
        if self.recall is None:
            return
        object.__setattr__(self, "recall", check_recall(self.recall))
        if self.ef_search is not None or self.probes is not None:
            message = "recall selects ef_search or probes. Pass only one of them."
            raise InvalidSetting(message)

    def statements(self, method: str | None = None) -> list[str]:
        """Return one `SET LOCAL` statement per setting; given an index method, only the settings of that method."""
        out = [
            f"SET LOCAL {guc} = {getattr(self, name):d}"
            for name, (guc, _, _) in _NUMBERS.items()
            if getattr(self, name) is not None and guc.startswith(method or "")
        ]
        if self.iterative_scan is not None and method != "ivfflat":
            out.append(f"SET LOCAL hnsw.iterative_scan = {self.iterative_scan}")
        # ivfflat does not support strict_order.
        if self.iterative_scan in {"off", "relaxed_order"} and method != "hnsw":
            out.append(f"SET LOCAL ivfflat.iterative_scan = {self.iterative_scan}")
        return out


_NUMBERS = {
    "ef_search": ("hnsw.ef_search", 1, MAX_EF_SEARCH),
    "probes": ("ivfflat.probes", 1, 32_768),
    "max_scan_tuples": ("hnsw.max_scan_tuples", 1, 2_147_483_647),
    "scan_mem_multiplier": ("hnsw.scan_mem_multiplier", 1, 1_000),
}

#: The settings of most searches.
NO_SETTINGS = SearchSettings()


#: The default of `oversample`. On 10,000 text embeddings of 1536 dimensions with k = 10, bits reached a recall of 0.97
#: with 4 and of 0.99 with 8, as measured by `benchmarks/quantized.py`.
OVERSAMPLE = {"halfvec": 2, "bit": 8}


def candidates(quantize: str, k: int, settings: SearchSettings) -> int:
    """Return how many rows to take from the index to find k: `oversample` times k, else all that `ef_search` finds.

    With neither, `OVERSAMPLE` gives the multiple.
    """
    if settings.oversample is None and settings.ef_search is not None:
        return max(k, settings.ef_search)
    return min(k * (settings.oversample or OVERSAMPLE[quantize]), 2**31 - 1)


def covering(settings: SearchSettings, count: int) -> SearchSettings:
    """Return settings under which one HNSW scan returns `count` rows, as far as pgvector's limit of 1000 allows."""
    if count <= (settings.ef_search or DEFAULT_EF_SEARCH):
        return settings
    return replace(settings, ef_search=min(count, MAX_EF_SEARCH))


def check_count(name: str, value: Any) -> int:
    """Return an integer of at least 1, also one of NumPy's, as an int.

    Raises:
        InvalidSetting: it is not.
    """
    if not is_whole(value, 1, 2**31 - 1):
        message = f"{name} must be a whole number of at least 1, got {value!r}."
        raise InvalidSetting(message)
    return int(value)


def check_number(name: str, value: Any, low: float, high: float) -> float:
    """Return a number from `low` to `high`, also one of NumPy's, as a float.

    Raises:
        InvalidSetting: it is not.
    """
    if not _is_number(value) or not low <= value <= high:
        message = f"{name} must be a number from {low:g} to {high:g}, got {value!r}."
        raise InvalidSetting(message)
    return float(value)


def check_recall(value: Any) -> float:
    """Return a requested recall as a float.

    Raises:
        InvalidSetting: it is not a number above 0 and at most 1.
    """
    if not _is_number(value) or not 0 < value <= 1:
        message = f"recall must be above 0 and at most 1, got {value!r}."
        raise InvalidSetting(message)
    return float(value)


def _is_number(value: Any) -> bool:
    return type(value) is not bool and isinstance(value, Real)


def is_whole(value: Any, low: int, high: int) -> bool:
    """Return whether a value is an integer from `low` to `high`, also one of NumPy's."""
    return type(value) is not bool and isinstance(value, Integral) and low <= int(value) <= high
