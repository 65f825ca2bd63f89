"""Recall as the unit of a search: a measured curve of setting, recall and latency, and the setting for a recall.

Plain frozen data; `IndexAdvisor.tune` measures it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from rowspace.errors import InvalidSetting
from rowspace.settings import MAX_EF_SEARCH, NO_SETTINGS, SearchSettings

__all__ = ["TUNING", "SettingName", "Tuning", "TuningPoint", "enough", "ladder", "tuned", "tuning_of", "with_setting"]

#: The key under which `Collection.index` keeps the tuning of its index.
TUNING = "tuning"

#: The curve ends at this recall.
_ENOUGH = 0.999

_EF_SEARCH = (10, 20, 30, 40, 60, 80, 100, 150, 200, 300, 400, 600, 800, MAX_EF_SEARCH)


#: The settings that a tuning varies: candidates of an HNSW scan, lists of an IVFFlat scan.
SettingName = Literal["ef_search", "probes"]


@dataclass(frozen=True, slots=True)
class TuningPoint:
    """One measurement.

    Args:
        setting: the value of `ef_search` or `probes`.
        recall: the mean share of the true k nearest rows that were found, 0 to 1.
        milliseconds: the median latency of a search, as the caller sees it.
    """

    setting: int
    recall: float
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Tuning:
    """A measured curve, and the setting that reaches the target recall.

    Args:
        name: the setting that was varied: `ef_search` for HNSW, `probes` for IVFFlat.
        target: the target recall.
        k: number of rows per search; for a larger k the recall is lower.
        queries: number of searches per point.
        points: the measurements, by increasing setting.
    """

    name: SettingName
    target: float
    k: int
    queries: int
    points: tuple[TuningPoint, ...]

    @property
    def best(self) -> float:
        """The highest measured recall."""
        return max(point.recall for point in self.points)

    @property
    def reached(self) -> bool:
        """Whether a setting reaches the target."""
        return self.best >= self.target

    @property
    def chosen(self) -> TuningPoint:
        """The smallest setting that reaches the target, else the one with the highest recall."""
        return self.point(min(self.target, self.best))

    @property
    def advice(self) -> str:
        """Advice if the target was not reached, else an empty string."""
        if self.reached:
            return ""
        return (
            f"A recall of {self.target:g} is out of reach: the highest is {self.best:.3f}, with "
            f"{self.name} = {self.chosen.setting}. Build the index with a larger m and ef_construction (HNSW) or fewer "
            "lists (IVFFlat), or quantize less: halfvec instead of bit."
        )

    def point(self, recall: float) -> TuningPoint:
        """Return the point with the smallest setting that reaches a recall.

        Raises:
            InvalidSetting: no measured setting reaches it.
        """
        for point in self.points:
            if point.recall >= recall:
                return point
        message = f"The measured curve ends at a recall of {self.best:.3f}, below {recall:g}. Pass exact=True instead."
        located = InvalidSetting(message).at("recall")
        raise located

    def settings(self, recall: float | None = None) -> SearchSettings:
        """Return settings for a search that reaches a recall, by default the target, or the best measured recall.

        Once the index is tuned, searches do this automatically: `nearest(query, recall=0.95)`.

        Raises:
            InvalidSetting: no measured setting reaches it.
        """
        point = self.chosen if recall is None else self.point(recall)
        return with_setting(SearchSettings(), self.name, point.setting)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        points = [[point.setting, round(point.recall, 4), round(point.milliseconds, 3)] for point in self.points]
        return {"name": self.name, "target": self.target, "k": self.k, "queries": self.queries, "points": points}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Tuning:
        """Return what `to_dict` wrote."""
        points = tuple(TuningPoint(*point) for point in data["points"])
        return cls(data["name"], data["target"], data["k"], data["queries"], points)


def tuning_of(index: Mapping[str, Any] | None) -> Tuning | None:
    """Return the tuning stored with a collection's index, or None."""
    stored = (index or {}).get(TUNING)
    return None if stored is None else Tuning.from_dict(stored)


def tuned(settings: SearchSettings | None, tuning: Tuning | None) -> SearchSettings:
    """Return the settings of a search, with `ef_search` or `probes` from the tuning if a recall or neither is given.

    Raises:
        InvalidSetting: a recall is given without a curve, or the curve does not reach it.
    """
    given = settings or NO_SETTINGS
    if given.recall is None:
        if tuning is None or given.ef_search is not None or given.probes is not None:
            return given
        return with_setting(given, tuning.name, tuning.chosen.setting)
    if tuning is None:
        wanted = f"recall={given.recall:g} needs a measured curve."
        message = f"{wanted} Run IndexAdvisor.tune() or `rowspace tune`, which measures and stores it."
        located = InvalidSetting(message).at("recall")
        raise located
    return with_setting(replace(given, recall=None), tuning.name, tuning.point(given.recall).setting)


def with_setting(settings: SearchSettings, name: SettingName, value: int) -> SearchSettings:
    """Return settings with one of the two replaced."""
    return replace(settings, ef_search=value) if name == "ef_search" else replace(settings, probes=value)


def ladder(name: str, *, k: int, lists: int = 1) -> list[int]:
    """Return the settings to measure, in increasing order: `ef_search` from k to 1000, `probes` from 1 to all lists."""
    if name == "ef_search":
        return [setting for setting in _EF_SEARCH if setting >= min(k, MAX_EF_SEARCH)]
    steps, step = [], 1
    while step < lists:
        steps.append(step)
        step = max(step + 1, step * 3 // 2)
    return [*steps, lists]


def enough(recall: float, target: float) -> bool:
    """Return whether the curve is complete: it extends beyond the target, since later searches may ask for more."""
    return recall >= max(target, _ENOUGH)
