"""Measure a peer in its own environment: `python worker.py STORE URL DIRECTORY VACUUMDB`. Prints JSON.

`python -m benchmarks.peers` starts it. It uses nothing of Rowspace except in `stores/rowspace_*.py`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from benchmarks.memory import forget_peak, memory
from benchmarks.peers.protocol import Data, Search, Store, Unsupported

TURNS = 300
BATCH = 100
TASKS, SECONDS = 32, 3.0
UPSERTED = 2_000


def main(name: str, url: str, directory: str, vacuumdb: str) -> None:
    """Run all measurements and print the figures."""
    data = Data.load(Path(directory))
    store: Store = import_module(f"benchmarks.peers.stores.{name}").STORE(url, len(data.rows[0].vector))
    # The rows contain millions of floats in lists. Without freezing, each garbage collection would visit them.
    gc.collect()
    gc.freeze()
    before = forget_peak()
    figures: dict[str, Any] = {"ingest": len(data.rows) / _seconds(lambda: store.ingest(data.rows))}
    figures["memory"] = memory("VmHWM") - before
    # Before the index exists: maintaining an HNSW index costs every store the same, and more than everything else.
    few = data.rows[:UPSERTED]
    _or_none(figures, "upsert", lambda: UPSERTED / _median(lambda: store.upsert(few), 3))
    _or_none(figures, "index", lambda: _seconds(store.index))
    # As autovacuum would do, but at the same time for all peers, because the planner's choices depend on it.
    subprocess.run([vacuumdb, "--analyze", "--quiet", f"--dbname={url}"], check=True)
    _or_none(figures, "search", lambda: _searches(store, data))
    _or_none(figures, "filtered", lambda: _filtered(store, data))
    _or_none(figures, "batch", lambda: BATCH / _median(lambda: store.batch(data.queries[:BATCH]), 5))
    _or_none(figures, "concurrent", lambda: asyncio.run(_concurrent(store, data)))
    _or_none(figures, "export", lambda: _export(store, data))
    print(json.dumps(figures))


def _or_none(figures: dict[str, Any], name: str, measure: Callable[[], Any]) -> None:
    try:
        figures[name] = measure()
    except Unsupported as reason:
        figures[name] = None
        figures.setdefault("unsupported", {})[name] = str(reason)


def _seconds(run: Callable[[], Any]) -> float:
    began = perf_counter()
    run()
    return perf_counter() - began


def _median(run: Callable[[], Any], turns: int) -> float:
    run()
    return median(_seconds(run) for _ in range(turns))


def _searches(store: Store, data: Data) -> dict[str, float]:
    return _timed(lambda turn: store.search(data.queries[turn]), data.truth)


def _filtered(store: Store, data: Data) -> dict[str, float]:
    return _timed(lambda turn: store.filtered(data.queries[turn], turn % 100), data.filtered)


def _timed(search: Callable[[int], list[str]], truth: list[list[str]]) -> dict[str, float]:
    for turn in range(20):
        search(turn)
    times, recalls, rows = [], [], []
    for turn in range(min(TURNS, len(truth))):
        began = perf_counter()
        found = search(turn)
        times.append(perf_counter() - began)
        rows.append(len(found))
        recalls.append(len({*found} & {*truth[turn]}) / len(truth[turn]))
    return {
        "milliseconds": 1e3 * median(times),
        "recall": sum(recalls) / len(recalls),
        "rows": sum(rows) / len(rows),
        "fewest": min(rows),
    }


def _export(store: Store, data: Data) -> float:
    shape: list[Any] = []
    seconds = _median(lambda: shape.append(store.export().shape), 3)
    if shape[-1] != (len(data.rows), len(data.rows[0].vector)):
        message = f"{shape[-1]} were exported"
        raise RuntimeError(message)
    return len(data.rows) / seconds


async def _concurrent(store: Store, data: Data) -> float:
    """Return the searches per second of 32 tasks."""
    vectors = [query.tolist() for query in data.queries]

    async def run(search: Search) -> float:
        numbers = count()
        for _ in range(2):  # the first round opens the connections
            await asyncio.gather(*(search(vectors[task]) for task in range(TASKS)))
        began = perf_counter()

        async def task() -> int:
            done = 0
            while perf_counter() - began < SECONDS:
                await search(vectors[next(numbers) % len(vectors)])
                done += 1
            return done

        done = sum(await asyncio.gather(*(task() for _ in range(TASKS))))
        return done / (perf_counter() - began)

    return await store.concurrent(run)


if __name__ == "__main__":
    main(*sys.argv[1:])
