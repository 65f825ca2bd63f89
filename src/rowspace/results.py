"""Results: the hits of a search, the report of a load. Plain frozen data, no database."""

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
# Covariant: a hit of a subclass is also a hit of its base class.
M_co = TypeVar("M_co", covariant=True)

# Prompts and notebooks do not show the keys of a `Matrix` and similar classes: there may be millions, and unlike
# arrays, tuples are not shortened.


@dataclass(frozen=True, slots=True)
class Hit(Generic[M_co]):
    """One row that a search found.

    `distance` is what the index orders by: smaller is nearer. `similarity` expresses the same with larger values for
    nearer rows; see `Distance.similarity`. A vector of zeros has no direction: its cosine distance and similarity are
    NaN, null in JSON, and the row comes last. If the query is a vector of zeros, this applies to every row.
    """

    entity: M_co
    distance: float
    similarity: float


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """Vectors in bulk: the keys of the rows, and a C-contiguous float32 matrix of shape (rows, dimension).

    float32 represents the numbers of a `HalfVector` column exactly.

    A key is the id of a document, or the primary key of a model (a tuple for a composite key). Its values are those of
    an entity, except for network addresses, bit strings and arrays, which are in PostgreSQL's text form.
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
    """The rows that share a value: their number, their mean vector, and their mean and largest distance to it."""

    value: Any
    count: int
    centroid: NDArray[np.float32]
    mean_distance: float
    max_distance: float


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """Edges between rows: from `keys[sources[i]]` to `keys[targets[i]]`, `distances[i]` apart.

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
        """Return the keys of the rows of each connected component, largest first."""
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
    """The keys of rows, their coordinates as a float32 matrix of shape (rows, components), and the axes."""

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

    `text_rank` is PostgreSQL's `ts_rank_cd` divided by 1 plus the logarithm of the text's length: larger is better, and
    comparable only within one search. `highlight` is an excerpt with the words marked, if requested.
    """

    entity: M_co
    text_rank: float
    highlight: str | None = None


@dataclass(frozen=True, slots=True)
class HybridHit(Hit[M_co]):
    """One row that a search by vector and by keyword found.

    Hits are ordered by `score`: larger is better. `text_rank` is None if the row was not among the text candidates;
    distance and similarity are always set.
    """

    score: float
    text_rank: float | None = None
    highlight: str | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[M]):
    """A page of a listing, and the cursor that continues it, which is None after the last page."""

    items: list[M]
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class FacetCount:
    """A value of a key, and the number of rows that have it."""

    value: Any
    count: int


@dataclass(frozen=True, slots=True)
class Stats:
    """Statistics of the values of a key.

    `count` rows have a value, `missing` rows have none or null. There are `distinct` different values between `minimum`
    and `maximum`, which are None if there is no value.
    """

    count: int
    missing: int
    distinct: int
    minimum: Any = None
    maximum: Any = None


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that a load could not store: its number in the load, starting at 0, the reason, and the row."""

    number: int
    reason: str
    row: Any


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load has done so far, in numbers of rows.

    `received` rows were passed in: the sum of all other counts up to `rejected`. `unchanged` rows already existed with
    the same content and metadata, or consisted of nothing but a key. `duplicates` occurred again later in the same load
    (the last one wins). `rejected` rows could not be stored and were handed back. `repeated_texts` rows are stored like
    any other, but their text also occurred in the same load under another id; it is ignored when reports are compared.
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
    """The progress of a re-embedding.

    Args:
        phase: `embedding`, `indexing`, `catching up` with documents written meanwhile, `swapping`, or `done`.
        done: number of documents that have a new embedding.
        total: number of documents in the collection when this run began.
    """

    phase: str
    done: int
    total: int
