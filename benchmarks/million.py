"""A million rows in and out, and the memory of the client meanwhile: `python -m benchmarks.million`.

The rows are made as they are asked for, by a generator, and their vectors are random: what is measured is how much the
client holds, not what the server finds. There is no vector index.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.database import open_database
from benchmarks.memory import forget_peak, memory
from rowspace import CollectionRepository, DocumentRepository, MatrixRepository

#: Vectors that are made at once.
_BLOCK = 10_000


def main() -> None:
    """Load, stream back, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.million", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=384)
    options = parser.parse_args()
    with open_database() as database:
        with database.begin() as session:
            collection = CollectionRepository(session).create("million", options.dimension, index=None)
        base, began = forget_peak(), perf_counter()
        with database.begin() as session:
            report = DocumentRepository(session, collection).upsert(_rows(options.rows, options.dimension))
        _print("load", report.written, perf_counter() - began, base)
        base, began, rows = forget_peak(), perf_counter(), 0
        with database.session() as session, MatrixRepository(session, collection).stream() as parts:
            for part in parts:
                rows += len(part.keys)
        _print("stream", rows, perf_counter() - began, base)


def _rows(count: int, dimension: int) -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(1)
    for start in range(0, count, _BLOCK):
        block = random.standard_normal((min(_BLOCK, count - start), dimension), np.float32)
        for number, vector in enumerate(block, start):
            yield {"id": f"row-{number:07d}", "content": f"The text of row {number}.", "embedding": vector}


def _print(name: str, rows: int, seconds: float, base: float) -> None:
    peak = memory("VmHWM")
    print(f"{name}: {rows:,} rows in {seconds:.0f} s, {rows / seconds:,.0f} a second; "
          f"peak of the client {peak:.0f} MB, of which {peak - base:.0f} MB for this", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
