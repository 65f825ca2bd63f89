"""A load's memory of the rows that it has processed: eight bytes each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Marks"]


class Marks:
    """A set of 64-bit hashes for batches of them; Python's own set takes eight times the memory.

    It consists of a few sorted arrays, each more than twice as long as the next, so that adding is cheap.
    """

    def __init__(self) -> None:
        self._runs: list[NDArray[np.int64]] = []

    def add(self, marks: Iterable[int]) -> set[int]:
        """Add marks, and return those that were there before."""
        given = np.unique(np.fromiter(marks, np.int64))
        there = np.zeros(len(given), np.bool_)
        for run in self._runs:
            places = np.searchsorted(run, given)
            places[places == len(run)] = 0
            there |= run[places] == given
        if not there.all():
            self._append(given[~there])
        found: set[int] = set(given[there].tolist())
        return found

    def _append(self, run: NDArray[Any]) -> None:
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            run = np.concatenate([self._runs.pop(), run])
            # Merges sorted arrays, which a stable sort does in linear time.
            run.sort(kind="stable")
        self._runs.append(run)
