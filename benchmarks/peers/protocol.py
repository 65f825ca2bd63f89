"""The interface of a store, and the data of a run.

The worker in each peer's environment imports this module, so it uses only NumPy and the standard library.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Data", "K", "Row", "Search", "Store", "Unsupported"]

#: The number of hits per search.
K = 10

#: An async search by a vector, on its own connection or on one from a pool.
Search = Callable[[list[float]], Awaitable[Any]]


class Unsupported(Exception):
    """The peer does not support an operation."""


@dataclass(frozen=True, slots=True)
class Row:
    """A document, with its vector as a list of floats, as embedders return it, and as a NumPy array."""

    id: str
    text: str
    bucket: int
    vector: list[float]
    array: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Data:
    """The rows, the queries, and the true ids: `truth[q]` from all rows, `filtered[q]` from those of bucket q % 100."""

    rows: list[Row]
    queries: NDArray[np.float32]
    truth: list[list[str]]
    filtered: list[list[str]]

    @classmethod
    def load(cls, directory: Path) -> Data:
        """Return the data that `write` wrote."""
        matrix, queries = np.load(directory / "rows.npy"), np.load(directory / "queries.npy")
        facts = json.loads((directory / "facts.json").read_text("utf-8"))
        rows = [
            Row(f"row-{number:06d}", text, bucket, vector.tolist(), vector)
            for number, (text, bucket, vector) in enumerate(zip(facts["texts"], facts["buckets"], matrix, strict=True))
        ]
        return cls(rows, queries, facts["truth"], facts["filtered"])

    @staticmethod
    def write(
        directory: Path, texts: Sequence[str], buckets: Sequence[int], vectors: tuple[NDArray[Any], NDArray[Any]]
    ) -> None:
        """Write the rows and queries, both unit vectors, and the nearest rows to each query by cosine distance."""
        matrix, queries = vectors
        distances, members = 1 - queries @ matrix.T, np.asarray(buckets)

        def nearest(query: int, among: NDArray[Any]) -> list[str]:
            order = among[np.argsort(distances[query][among], kind="stable")][:K]
            return [f"row-{number:06d}" for number in order]

        every = np.arange(len(matrix))
        facts = {
            "texts": list(texts),
            "buckets": [int(bucket) for bucket in buckets],
            "truth": [nearest(query, every) for query in range(len(queries))],
            "filtered": [nearest(query, np.flatnonzero(members == query % 100)) for query in range(len(queries))],
        }
        np.save(directory / "rows.npy", matrix)
        np.save(directory / "queries.npy", queries)
        (directory / "facts.json").write_text(json.dumps(facts), "utf-8")


class Store(Protocol):
    """A peer with an empty database. Each method follows the peer's documentation.

    The defaults are for peers that lack an operation: they search one by one, export no vectors, or are not async.
    """

    def __init__(self, url: str, dimension: int) -> None:
        """Connect to a libpq URL and create the table."""

    def ingest(self, rows: list[Row]) -> None:
        """Load new rows, and commit."""

    def index(self) -> None:
        """Build an HNSW index for cosine distance, m = 16, ef_construction = 64."""

    def upsert(self, rows: list[Row]) -> None:
        """Load rows that already exist, and commit."""

    def search(self, query: NDArray[np.float32]) -> list[str]:
        """Return the ids of the K nearest rows."""

    def filtered(self, query: NDArray[np.float32], bucket: int) -> list[str]:
        """Return the ids of the K nearest rows in a bucket, which contains 1 % of the rows."""

    def batch(self, queries: NDArray[np.float32]) -> list[list[str]]:
        """Return the ids of the K nearest rows to each query."""
        return [self.search(query) for query in queries]

    def export(self) -> NDArray[np.float32]:
        """Return all vectors as one matrix."""
        message = "returns no vectors"
        raise Unsupported(message)

    async def concurrent(self, run: Callable[[Search], Awaitable[float]]) -> float:  # noqa: ARG002
        """Call `run` with an async search that 32 tasks can share, and return its result."""
        message = "no async"
        raise Unsupported(message)
