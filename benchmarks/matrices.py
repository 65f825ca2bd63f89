"""All vectors of a collection into NumPy: `MatrixRepository.read`, the bare bytes of COPY, and pandas."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.database import Filled, connect
from benchmarks.harness import Measure, interleave
from rowspace import Database, MatrixRepository

__all__ = ["measure_matrix"]

#: Rows that pandas gets: it is slow enough to be timed with fewer.
FRAME_ROWS = 1_000


def measure_matrix(database: Database, filled: Filled, turns: int) -> list[Measure]:
    """Compare the three ways."""
    table = filled.collection.partition
    with connect(database.engine.url) as connection, database.session() as session:
        matrices = MatrixRepository(session, filled.collection)

        def drain(_turn: int) -> int:
            sql = f"COPY (SELECT id, embedding FROM {table}) TO STDOUT (FORMAT BINARY)"  # noqa: S608
            with connection.cursor().copy(sql) as copy:
                return sum(map(len, copy))

        frame = partial(_by_pandas, database, f"SELECT id, embedding::text FROM {table} LIMIT {FRAME_ROWS}")  # noqa: S608
        variants: dict[str, Any] = {"drain": drain, "read": lambda _: matrices.read(), "pandas": frame}
        times = interleave(variants, turns, warmup=2)
    rows = len(filled.corpus.texts)
    scale = rows / min(rows, FRAME_ROWS)
    name, detail = f"{filled.dimension}-d", times.milliseconds(*variants)
    return [
        Measure(
            "matrix",
            f"rate, by that of draining COPY, {name}",
            times.ratio("drain", "read"),
            at_least=0.8,
            detail=detail,
        ),
        Measure("matrix", f"rate, by that of pandas, {name}", times.ratio("pandas", "read") * scale, at_least=30),
    ]


def _by_pandas(database: Database, sql: str, _turn: int) -> Any:
    with database.engine.connect() as connection:
        frame = pd.read_sql(sql, connection)
    return np.array([json.loads(text) for text in frame["embedding"]], np.float32)
