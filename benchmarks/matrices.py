"""Read all vectors of a collection into NumPy: with `MatrixRepository.read`, as bytes of a COPY, and with pandas."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.database import Filled, connect
from benchmarks.harness import Measure, interleave
from rowspace import Database, MatrixRepository

__all__ = ["measure_matrix"]

#: The number of turns for pandas, which takes seconds for one.
FRAMES = 3


def measure_matrix(database: Database, filled: Filled, turns: int) -> list[Measure]:
    """Compare the three ways."""
    table = filled.collection.partition
    with connect(database.engine.url) as connection, database.session() as session:
        matrices = MatrixRepository(session, filled.collection)

        def drain(_turn: int) -> int:
            sql = f"COPY (SELECT id, embedding FROM {table}) TO STDOUT (FORMAT BINARY)"  # noqa: S608
            with connection.cursor().copy(sql) as copy:
                return sum(map(len, copy))

        read = partial(_without_turn, matrices.read)
        times = interleave({"drain": drain, "read": read}, turns, warmup=2)
        # The same rows, all at once: creating millions of Python floats is slower, per float, than a few thousand.
        frame = partial(_by_pandas, database, f"SELECT id, embedding::text FROM {table}")  # noqa: S608
        frames = interleave({"pandas": frame, "read": read}, FRAMES, warmup=1)
    name = f"{filled.dimension}-d"
    return [
        Measure(
            "matrix",
            f"rate relative to draining COPY, {name}",
            times.ratio("drain", "read"),
            at_least=0.8,
            detail=times.milliseconds("drain", "read"),
        ),
        Measure(
            "matrix",
            f"rate relative to pandas, {name}",
            frames.ratio("pandas", "read"),
            at_least=30,
            detail=frames.milliseconds("pandas", "read"),
        ),
    ]


def _without_turn(read: Callable[[], Any], _turn: int) -> Any:
    return read()


def _by_pandas(database: Database, sql: str, _turn: int) -> Any:
    with database.engine.connect() as connection:
        frame = pd.read_sql(sql, connection)
    return np.array([json.loads(text) for text in frame["embedding"]], np.float32)
