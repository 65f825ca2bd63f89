"""The shared parts of sync and async analyses: edges between rows, collected batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rowspace.errors import ConfigurationError
from rowspace.repositories.subjects import Subject
from rowspace.results import Graph, Hit
from rowspace.types import HalfVector, Vector

__all__ = ["Edges", "Progress", "check_numeric", "parts_of"]

#: Called with the number of processed rows and of all rows.
Progress = Callable[[int, int], object]

#: The number of rows to search neighbors for at once; their vectors are in memory.
_AT_ONCE = 1_000

Key = tuple[Any, ...]


def check_numeric(subject: Subject[Any]) -> None:
    """Refuse vectors that have no mean.

    Raises:
        ConfigurationError: they are bit or sparse vectors.
    """
    if not isinstance(subject.target.type, Vector | HalfVector):
        message = f"This analysis needs a Vector or HalfVector column; {subject.name} has {subject.target.type!r}."
        raise ConfigurationError(message)


def parts_of(keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    """Split keys into parts for one statement each."""
    return (keys[start : start + _AT_ONCE] for start in range(0, len(keys), _AT_ONCE))


class Edges:
    """Edges between rows, as positions among the keys."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = keys
        self._position = {key: position for position, key in enumerate(keys)}
        # 24 bytes per edge: sources, targets and distances.
        self._parts: list[NDArray[np.float64]] = []
        #: The number of rows whose neighbors are known.
        self.done = 0

    def add(self, keys: Sequence[Key], found: Sequence[Sequence[Hit[Any]]], k: int | None = None) -> None:
        """Add the neighbors of some rows, at most k each, without the rows themselves and without rows added since."""
        edges = []
        for key, hits in zip(keys, found, strict=True):
            own = self._position[key]
            near = ((self._position.get(hit.entity, own), hit.distance) for hit in hits)
            edges += [(own, *edge) for edge in near if edge[0] != own][:k]
        self._parts.append(np.array(edges, np.float64).reshape(-1, 3))
        self.done += len(keys)

    def graph(self, *, once: bool = False) -> Graph:
        """Return the edges; with `once`, each pair once, from the earlier key to the later one, nearest first."""
        table = np.concatenate([np.empty((0, 3)), *self._parts])
        if once:
            table[:, :2].sort(axis=1)
            _, first = np.unique(table[:, :2], axis=0, return_index=True)
            table = table[first]
            table = table[np.argsort(table[:, 2], kind="stable")]
        keys = [key[0] if len(key) == 1 else key for key in self._keys]
        sources, targets = (table[:, column].astype(np.intp) for column in (0, 1))
        return Graph(keys, sources, targets, table[:, 2].astype(np.float32))
