"""Full, halfvec and bit indexes on the same vectors: size, recall and time. `python -m benchmarks.quantized --help`.

Recall is the share of the true ten nearest rows that a search with default settings finds. The true ones come from a
matrix product in NumPy. Times are those of complete searches, as an application makes them, in turns.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text

from benchmarks.corpus import Corpus, load_corpus
from benchmarks.database import open_database
from benchmarks.harness import Measure, interleave
from rowspace import HNSW, Collection, CollectionRepository, Database, DocumentRepository, SearchSettings
from rowspace.exact import exact_nearest
from rowspace.indexes import Quantize

KINDS: dict[str, Quantize | None] = {"full": None, "halfvec": "halfvec", "bit": "bit"}
K = 10


#: Searches in the bit index with fewer candidates than by default.
FEWER = "bit, 4 k candidates"


@dataclass(frozen=True, slots=True)
class _Search:
    """Runs the searches, each in its own transaction, so that the settings of one do not affect the next."""

    database: Database
    queries: NDArray[np.float32]
    collections: Mapping[str, Collection]

    def __call__(self, kind: str, turn: int, settings: SearchSettings | None = None) -> set[str]:
        """Return the ids that a search finds."""
        with self.database.begin() as session:
            documents = DocumentRepository(session, self.collections[kind])
            return {hit.entity.id for hit in documents.nearest(self.queries[turn], K, settings=settings)}


def main(arguments: list[str]) -> int:
    """Measure, print a table, and return 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quantized", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000, help="rows in each collection (default: 10,000)")
    parser.add_argument("--dimension", type=int, default=1536, help="numbers in a vector (default: 1536)")
    parser.add_argument("--queries", type=int, default=300, help="searches of each kind, at most 500 (default: 300)")
    parser.add_argument("--synthetic", action="store_true", help="clustered random vectors in place of real ones")
    options = parser.parse_args(arguments)
    corpus = load_corpus(options.rows, synthetic=options.synthetic).projected(options.dimension)
    print(f"{len(corpus.texts):,} rows of {options.dimension} dimensions: {corpus.source}")
    met = True
    with open_database() as database:
        for measure in measure_quantized(database, corpus, options.queries):
            met &= measure.met is not False
            verdict = {True: "met", False: "MISSED", None: ""}[measure.met]
            print(f"{measure.name:<36}{measure.value:>8.3f}  {measure.target:<8}{verdict:<8}{measure.detail}".rstrip())
    return int(not met)


def measure_quantized(database: Database, corpus: Corpus, turns: int) -> Iterator[Measure]:
    """Yield the measures of the three kinds of index."""
    built = {kind: _build(database, corpus, kind) for kind in KINDS}
    queries = corpus.queries[:turns]
    nearest, _ = exact_nearest(corpus.matrix, queries, K, distance="ip")
    truth = [{f"row-{row:06d}" for row in rows} for rows in nearest]
    for kind in KINDS:
        size, seconds = built[kind]
        ratio = built["full"][0] / size
        at_least = {"halfvec": 1.9, "bit": 8.0}.get(kind)
        detail = f"{size / 2**20:.1f} MB, built in {seconds:.1f} s"
        yield Measure("quantized", f"{kind}: times smaller than full", ratio, at_least=at_least, detail=detail)
    with database.begin() as session:
        collections = {collection.name: collection for collection in CollectionRepository(session).list()}
    search = _Search(database, queries, collections)
    yield from _recalls(search, truth)
    variants = {kind: partial(search, kind) for kind in KINDS}
    # Half of the default number of candidates already reaches a recall of 0.95.
    variants[FEWER] = partial(search, "bit", settings=SearchSettings(oversample=4))
    times = interleave(variants, len(queries), warmup=10)
    for kind in ("halfvec", "bit", FEWER):
        yield Measure(
            "quantized",
            f"{kind}: time, full is 1",
            times.ratio(kind, "full"),
            at_most=1.1 if kind == "halfvec" else 1.0,
            detail=times.milliseconds(kind, "full"),
        )


def _recalls(search: _Search, truth: list[set[str]]) -> Iterator[Measure]:
    for kind in KINDS:
        times = (None, 1, 2, 4, 16) if kind == "bit" else (None,)
        for oversample in times:
            given = None if oversample is None else SearchSettings(oversample=oversample)
            found = [search(kind, turn, given) for turn in range(len(truth))]
            recall = float(np.mean([len(ids & wanted) / K for ids, wanted in zip(found, truth, strict=True)]))
            name = kind if oversample is None else f"{kind}, {oversample} k candidates"
            at_least = 0.95 if name in {*KINDS, FEWER} else None
            yield Measure("quantized", f"{name}: recall", recall, at_least=at_least)


def _build(database: Database, corpus: Corpus, kind: str) -> tuple[int, float]:
    """Load a collection. Return the size of its vector index in bytes, and the seconds of its build."""
    with database.begin() as session:
        session.execute(text("SET LOCAL maintenance_work_mem = '512MB'"))
        index = HNSW(quantize=KINDS[kind])
        collection = CollectionRepository(session).create(kind, corpus.matrix.shape[1], index=index)
        documents = DocumentRepository(session, collection)
        documents.upsert(corpus.rows())
        began = perf_counter()
        documents.create_indexes()
        seconds = perf_counter() - began
        name = f"ix_{collection.partition}_embedding"
        size = session.scalar(text("SELECT pg_relation_size(CAST(:name AS regclass))"), {"name": name})
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"VACUUM ANALYZE {collection.partition}"))
    return int(size or 0), seconds


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
