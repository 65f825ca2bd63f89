"""A million rows with filters and page by page, with and without indexes on keys: `python -m benchmarks.scale`.

The vectors are synthetic: points around 5,000 centers in 32 dimensions, with noise in all dimensions. Times are
medians, measured in turns with a raw search without a filter. Recall compares ten hits with an exact search. A run
takes ten minutes on two processors, mostly for the HNSW index.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import date, timedelta
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.database import connect, open_database
from benchmarks.harness import interleave
from rowspace import BrowseRepository, Collection, CollectionRepository, Database, DocumentRepository, IndexBuilder

_BLOCK, _QUERIES, K = 10_000, 50, 10
_KEYS = ("n", "day", "tenant")
#: The filters: a share of the rows by a numeric range, the last days, one of 1,000 tenants, one of 100 buckets.
_FILTERS: dict[str, dict[str, Any]] = {
    "20 %, a range": {"n": {"$lt": 200_000}},
    "2 %, a range": {"n": {"$lt": 20_000}},
    "1 %, a range": {"n": {"$lt": 10_000}},
    "0.1 %, a range": {"n": {"$lt": 1_000}},
    "0.2 %, the last days": {"day": {"$gte": "2024-08-06"}},
    "0.1 %, a value": {"tenant": "t5"},
    "1 %, a value without one": {"bucket": 7},
    "nothing, a range": {"n": {"$lt": 0}},
}


def main() -> None:
    """Load, build, search, create the indexes on keys, search again and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=256)
    options = parser.parse_args()
    queries = _vectors(_QUERIES, options.dimension, seed=-1)
    with open_database() as database:
        with database.begin() as session:
            collection = CollectionRepository(session).create("scale", options.dimension)
        began = perf_counter()
        with database.begin() as session:
            DocumentRepository(session, collection).upsert(_rows(options.rows, options.dimension))
        print(f"{options.rows:,} rows of {options.dimension} dimensions loaded in {perf_counter() - began:.0f} s")
        builder, began = IndexBuilder(database.engine, collection), perf_counter()
        made = builder.create(maintenance_work_mem="3GB", parallel_workers=1)
        sizes = ", ".join(f"{one.method} {one.size >> 20:,} MB" for one in made if one.wanted)
        print(f"indexes built in {perf_counter() - began:.0f} s: {sizes}", flush=True)
        _search(database, collection, queries, "without indexes on keys")
        _page(database, collection)
        for key in _KEYS:
            began = perf_counter()
            made = builder.create_key_index(key)
            (size,) = (one.size >> 20 for one in made if one.name.endswith(f"_key_{key}"))
            print(f"index on {key} built in {perf_counter() - began:.1f} s: {size} MB", flush=True)
        _search(database, collection, queries, "with them")
        _page(database, collection)


def _search(database: Database, collection: Collection, queries: NDArray[np.float32], when: str) -> None:
    print(f"{when:<28}{'rows':>6}{'recall':>8}{'ms':>9}{'by raw unfiltered':>20}")
    with connect(database.engine.url) as connection, database.session() as session:
        documents = DocumentRepository(session, collection)
        raw = partial(_raw, connection.cursor(binary=True), collection, queries)
        for name, where in {"no filter": None, **_FILTERS}.items():
            found = partial(_found, documents, queries, where)
            times = interleave({"raw": raw, "found": found}, _QUERIES, warmup=2, run=5)
            pairs = [(found(turn), _found(documents, queries, where, turn, exact=True)) for turn in range(10)]
            recall = sum(len({*hits} & {*exact}) / max(len(exact), 1) for hits, exact in pairs) / len(pairs)
            rows = min(len(hits) for hits, _ in pairs)
            shown = f"{recall:.2f}" if rows else "-"
            ratio = times.ratio("found", "raw")
            print(f"{name:<28}{rows:>6}{shown:>8}{times.median('found') * 1e3:>9.2f}{ratio:>20.2f}", flush=True)


def _page(database: Database, collection: Collection) -> None:
    """Time pages of 100 documents in the order of a key, from the fifth to the fourteenth."""
    with database.session() as session:
        browse = BrowseRepository(session, collection)
        for key in ("n", "day"):
            cursor, times = None, []
            for _ in range(14):
                began = perf_counter()
                cursor = browse.scroll(100, order_by=key, descending=True, cursor=cursor).cursor
                times.append(perf_counter() - began)
            print(f"a page of 100 by {key:<33}{median(times[4:]) * 1e3:>9.2f}", flush=True)


def _found(documents: DocumentRepository, queries: Any, where: Any, turn: int, **options: Any) -> list[str]:
    return [hit.entity.id for hit in documents.nearest(queries[turn % len(queries)], K, where=where, **options)]


def _raw(cursor: Any, collection: Collection, queries: Any, turn: int) -> Any:
    distance = f"embedding::vector({collection.dimension}) <=> %b"
    sql = (
        f"SELECT id, content, metadata, {distance} FROM documents WHERE collection_id = {collection.id} "  # noqa: S608
        f"ORDER BY {distance} LIMIT {K}"
    )
    query = queries[turn % len(queries)]
    return cursor.execute(sql, [query, query], prepare=True).fetchall()


def _rows(count: int, dimension: int) -> Iterator[dict[str, Any]]:
    for start in range(0, count, _BLOCK):
        for at, vector in enumerate(_vectors(min(_BLOCK, count - start), dimension, seed=start), start):
            # Consecutive rows get distant keys, because rows are not loaded in the order of their keys.
            mixed = at * 2_654_435_761 % 2**32
            metadata = {
                "bucket": mixed % 100,
                "n": mixed % count * 1_000_000 // count,
                "day": str(date(2000, 1, 1) + timedelta(days=mixed // 3 % 9_000)),
                "tenant": f"t{mixed // 7 % 1_000}",
            }
            yield {"id": f"row-{at:07d}", "content": f"The text of row {at}.", "meta": metadata, "embedding": vector}


def _vectors(count: int, dimension: int, *, seed: int) -> NDArray[np.float32]:
    shape, random = np.random.default_rng(7), np.random.default_rng([8, seed + 1])
    centres = shape.standard_normal((5_000, 32), np.float32)
    latent = centres[random.integers(0, len(centres), count)] + 0.6 * random.standard_normal((count, 32), np.float32)
    vectors = latent @ shape.standard_normal((32, dimension), np.float32)
    vectors += 0.3 * random.standard_normal((count, dimension), np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


if __name__ == "__main__":
    main()
