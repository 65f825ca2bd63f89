"""What comes back: hits of a search, the report of a load. Plain frozen data, no database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass, field
from operator import add
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from rowspace.projection import Axes

__all__ = [
    "Category",
    "Distances",
    "FacetCount",
    "Graph",
    "Group",
    "Hit",
    "HybridHit",
    "LoadReport",
    "Matrix",
    "Page",
    "Projection",
    "Reembedded",
    "Reject",
    "Stats",
    "TextHit",
]

M = TypeVar("M")
# A hit of a subclass is one of its base.
M_co = TypeVar("M_co", covariant=True)

# The keys of `Matrix` and its like are left out of what a prompt or a notebook shows: they may be millions, and unlike
# arrays are not shortened.


@dataclass(frozen=True, slots=True)
class Hit(Generic[M_co]):
    """One row that a search found.

    `distance` is what the index orders by: smaller is nearer. `similarity` is the same fact turned around
    (`Distance.similarity`): larger is nearer. A vector of zeros has no direction: by cosine both are NaN, in JSON null,
    and such a row comes last; where the query is one, all rows are.
    """

    entity: M_co
    distance: float
    similarity: float


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """Vectors in bulk: the keys of the rows, and a C-contiguous float32 matrix of shape (rows, dimension).

    Numbers of a `HalfVector` column are the same in float32.

    A key is the id of a document, or the primary key of a model, a tuple where it has several columns. Its values are
    those of an entity, but for a network address, bits and an array, which are PostgreSQL's text of them.
    """

    keys: list[Any] = field(repr=False)
    vectors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True, eq=False)
class Distances:
    """The keys of rows and their distances to a query as float64, nearest first."""

    keys: list[Any] = field(repr=False)
    distances: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True, eq=False)
class Category:
    """The rows that share a value: how many, their mean vector, and their mean and largest distance to it."""

    value: Any
    count: int
    centroid: NDArray[np.float32]
    mean_distance: float
    max_distance: float


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """Edges between rows: `sources[i]` and `targets[i]` are positions in `keys`, `distances[i]` is how far they are.

    The arrays are of intp and float32. An edge goes from a row to one of its neighbours, nearest first.
    """

    keys: list[Any] = field(repr=False)
    sources: NDArray[np.intp]
    targets: NDArray[np.intp]
    distances: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.sources)

    def edges(self) -> Iterator[tuple[Any, Any, float]]:
        """Yield the keys of each edge and its distance."""
        rows = zip(self.sources.tolist(), self.targets.tolist(), self.distances.tolist(), strict=True)
        return ((self.keys[source], self.keys[target], distance) for source, target, distance in rows)

    def groups(self) -> list[list[Any]]:
        """Return the keys of rows that are connected, directly or through others, the largest group first."""
        root = list(range(len(self.keys)))

        def find(row: int) -> int:
            while root[row] != row:
                root[row] = row = root[root[row]]
            return row

        for source, target in zip(self.sources.tolist(), self.targets.tolist(), strict=True):
            a, b = sorted((find(source), find(target)))
            root[b] = a
        members: dict[int, list[Any]] = {}
        for row, key in enumerate(self.keys):
            members.setdefault(find(row), []).append(key)
        return sorted((group for group in members.values() if len(group) > 1), key=len, reverse=True)


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """The keys of rows, their coordinates as a float32 matrix of shape (rows, components), and what these mean."""

    keys: list[Any] = field(repr=False)
    points: NDArray[np.float32]
    axes: Axes

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True)
class Group(Generic[M]):
    """The best hits of one group, nearest first, and the value that they share."""

    key: Any
    hits: list[Hit[M]]


@dataclass(frozen=True, slots=True)
class TextHit(Generic[M_co]):
    """One row that a search by keyword found.

    `text_rank` is PostgreSQL's `ts_rank_cd` divided by one and the logarithm of the text's length: larger is better,
    and comparable within one search only. `highlight` is an excerpt with the words marked, where it was asked for.
    """

    entity: M_co
    text_rank: float
    highlight: str | None = None


@dataclass(frozen=True, slots=True)
class HybridHit(Hit[M_co]):
    """One row that a search by vector and by keyword found.

    `score` is what the hits are ordered by: larger is better. `text_rank` is None where the row was not among the
    candidates by text; distance and similarity are always there.
    """

    score: float
    text_rank: float | None = None
    highlight: str | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[M]):
    """Some rows of a listing, and the cursor that continues it: None after the last one."""

    items: list[M]
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class FacetCount:
    """A value of a key, and in how many rows it is."""

    value: Any
    count: int


@dataclass(frozen=True, slots=True)
class Stats:
    """What the values of a key are.

    `count` rows have a value, `missing` rows have none or null. `distinct` values lie between `minimum` and `maximum`,
    which are None where there is no value.
    """

    count: int
    missing: int
    distinct: int
    minimum: Any = None
    maximum: Any = None


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that a load could not store: its number in the load, which is 0 for the first, the reason, the row."""

    number: int
    reason: str
    row: Any


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load has done so far, in rows.

    `received` counts what the caller handed over: it is the sum of all the others up to `rejected`. `unchanged` rows
    were there already with the same content and metadata, or came with nothing but their key; `duplicates` came again
    later in the same load (the last one wins), `rejected` could not be stored and were handed back. `repeated_texts`
    rows are stored like any other, and had a text that came in the same load under another id; reports compare without
    it.
    """

    received: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    duplicates: int = 0
    rejected: int = 0
    repeated_texts: int = field(default=0, compare=False)

    def __add__(self, other: LoadReport) -> LoadReport:
        """Return the sum of two reports."""
        return LoadReport(*map(add, astuple(self), astuple(other)))

    @property
    def written(self) -> int:
        """Rows inserted or updated."""
        return self.inserted + self.updated


@dataclass(frozen=True, slots=True)
class Reembedded:
    """How far a re-embedding has come.

    Args:
        phase: `embedding`, `indexing`, `catching up` with what was written meanwhile, `swapping`, or `done`.
        done: documents that have their new embedding.
        total: documents of the collection when it began or was taken up again.
    """

    phase: str
    done: int
    total: int
