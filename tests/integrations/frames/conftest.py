"""A table of every kind of column that a frame of documents may have."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

ROWS, DIMENSION = 3_000, 16


@pytest.fixture(scope="session")
def matrix():
    return np.random.default_rng(5).normal(size=(ROWS, DIMENSION)).astype(np.float32)


@pytest.fixture(scope="session")
def vectors():
    """A function that makes the Arrow column of a matrix."""
    return lambda matrix: pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), matrix.shape[1])


@pytest.fixture(scope="session")
def table(matrix, vectors):
    numbers = range(ROWS)
    return pa.table({
        "id": [f"r{n:05}" for n in numbers],
        "content": [f"text {n} 数据" for n in numbers],
        "year": pa.array([1990 + n % 30 for n in numbers], pa.int16()),
        "weight": [n / 2 for n in numbers],
        "sold": [n % 2 == 0 for n in numbers],
        "at": pa.array([dt.datetime(2026, 1, 1, n % 24, tzinfo=dt.UTC) for n in numbers], pa.timestamp("us", "UTC")),
        "day": [dt.date(2026, 1, 1 + n % 28) for n in numbers],
        "kind": pa.array(["a", "b", "c"] * (ROWS // 3)).dictionary_encode(),
        "tags": [["x", str(n % 5)] for n in numbers],
        "maybe": pa.array([None if n % 3 else n for n in numbers], pa.int64()),
        "never": pa.array([None] * ROWS, pa.string()),
        "embedding": vectors(matrix),
    })  # fmt: skip
