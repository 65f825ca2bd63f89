"""Filters, batches and hybrid search on 50,000 rows, compared with psycopg: `python -m benchmarks.depth`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import psycopg

from benchmarks.corpus import load_corpus
from benchmarks.database import Filled, connect, fill, open_database
from benchmarks.harness import Measure, interleave
from benchmarks.searching import COLUMNS, RUN, K, raw_search
from rowspace import Database, DocumentRepository, HybridRepository, IndexBuilder, SearchRepository
from rowspace.statements.text import text_vector_ddl

#: The number of queries in a batch.
BATCH = 100
#: The number of candidates in each half of a hybrid search.
FETCH_K = 40

Run = Callable[[int], Any]
_BUCKET, _YEAR = (f"metadata @> jsonb_build_object('{key}', %s::int)" for key in ("bucket", "year"))


@dataclass(frozen=True, slots=True)
class Case:
    """A filter: its selectivity in words, its form for Rowspace by turn, and its SQL with one parameter."""

    name: str
    filter_of: Callable[[int], dict[str, Any]]
    sql: str
    value_of: Callable[[int], int]
    at_most: float | None = None


def main() -> None:
    """Print a table of ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.depth", description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--turns", type=int, default=300)
    options = parser.parse_args()
    corpus = load_corpus(options.rows)
    print(f"{options.rows:,} rows of {options.dimension} dimensions: {corpus.source}")
    with open_database() as database:
        filled = fill(database, corpus, options.dimension)
        for measure in _measures(database, filled, options.turns):
            mark = {True: "met", False: "MISSED", None: ""}[measure.met]
            print(f"{measure.name:<42}{measure.value:>8.3f}  {measure.target:<8}{mark:<8}{measure.detail}", flush=True)


def _measures(database: Database, filled: Filled, turns: int) -> Iterator[Measure]:
    with connect(database.engine.url) as connection, database.session() as session:
        documents = DocumentRepository(session, filled.collection)
        raw = raw_search(connection, filled, documents=True)
        unfiltered: Run = lambda turn: raw(_query(filled, turn))  # noqa: E731
        for case in _CASES:
            variants = {"raw unfiltered": unfiltered, "raw filtered": _raw_filtered(connection, filled, case)}
            yield from _filtered(variants, partial(_found, documents, filled, case), case, turns)
        yield _batch(SearchRepository(session, filled.collection), documents, filled, max(10, turns // 10))
        yield _hybrid(HybridRepository(session, filled.collection), connection, filled, turns)
        builder = IndexBuilder(database.engine, filled.collection)

        def filtered(cases: Iterable[Case], after: str = "") -> Iterator[Measure]:
            for case in (replace(case, name=case.name + after) for case in cases):
                found = partial(_found, documents, filled, case)
                yield from _filtered({"raw unfiltered": unfiltered}, found, case, turns)
            # The next step would wait for their locks.
            session.rollback()
            connection.rollback()

        yield from filtered([_RANGE])
        builder.create_key_index("bucket")
        yield from filtered([*_CASES[1:], replace(_RANGE, at_most=1.3)], ", key index")
        builder.drop_key_index("bucket")
        builder.cluster("bucket", maintenance_work_mem="512MB")
        yield from filtered(_CASES[1:], ", clustered")


_CASES = (
    # One of 36 years from 1990, or of 100 buckets.
    Case("3 %", lambda turn: {"year": 1990 + turn % 36}, _YEAR, lambda turn: 1990 + turn % 36),
    Case("1 %", lambda turn: {"bucket": turn % 100}, _BUCKET, lambda turn: turn % 100, at_most=1.3),
    Case(
        "0.2 %",
        lambda turn: {"bucket": turn % 100, "year": {"$gte": 2019}},
        f"{_BUCKET} AND metadata @@ '$.year >= 2019'",
        lambda turn: turn % 100,
        at_most=1.3,
    ),
)


#: As selective as the second case, but an index on all metadata cannot serve it.
_RANGE = Case(
    "1 %, a range", lambda turn: {"bucket": {"$gte": turn % 100, "$lt": turn % 100 + 1}}, "", lambda turn: turn
)


def _query(filled: Filled, turn: int) -> Any:
    return filled.corpus.queries[turn % len(filled.corpus.queries)]


def _found(documents: DocumentRepository, filled: Filled, case: Case, turn: int, **options: Any) -> list[str]:
    hits = documents.nearest(_query(filled, turn), K, where=case.filter_of(turn), **options)
    return [hit.entity.id for hit in hits]


def _raw_filtered(connection: psycopg.Connection[Any], filled: Filled, case: Case) -> Run:
    """Return the filtered search as one would write it for psycopg."""
    distance = f"embedding::vector({filled.dimension}) <=> %b"
    sql = (
        f"SELECT {COLUMNS}, {distance} AS d FROM documents WHERE collection_id = {filled.collection.id} "  # noqa: S608
        f"AND {case.sql} ORDER BY {distance} LIMIT {K}"
    )
    # Without this setting, the search returns fewer than ten rows, in less time.
    connection.execute("SET hnsw.iterative_scan = relaxed_order")
    cursor = connection.cursor(binary=True)

    def search(turn: int) -> Any:
        query = _query(filled, turn)
        return cursor.execute(sql, [query, case.value_of(turn), query], prepare=True).fetchall()

    return search


def _filtered(
    variants: dict[str, Run], filtered: Callable[..., list[str]], case: Case, turns: int
) -> Iterator[Measure]:
    variants = {**variants, "filtered": filtered}
    times = interleave(variants, turns, warmup=2, run=RUN)
    pairs = [(filtered(turn), filtered(turn, exact=True)) for turn in range(100)]
    recall = sum(len({*hits} & {*exact}) / len(exact) for hits, exact in pairs) / len(pairs)
    yield Measure(
        "filter", f"rows returned of {K}, fewest, at {case.name}", min(len(hits) for hits, _ in pairs), at_least=K
    )
    yield Measure("filter", f"recall@{K} at {case.name}", recall, at_least=0.98)
    ratio = times.ratio("filtered", "raw unfiltered")
    yield Measure("filter", f"time at {case.name}", ratio, at_most=case.at_most, detail=times.milliseconds(*variants))
    if "raw filtered" in variants:
        by_hand = times.ratio("raw filtered", "raw unfiltered")
        yield Measure("filter", f"the same with raw psycopg at {case.name}", by_hand)


def _batch(search: SearchRepository[Any], documents: DocumentRepository, filled: Filled, turns: int) -> Measure:
    queries = filled.corpus.queries[:BATCH]
    variants: dict[str, Run] = {
        "one by one": lambda _: [documents.nearest(query, K) for query in queries],
        "nearest_many": lambda _: search.nearest_many(queries, K),
    }
    times = interleave(variants, turns, warmup=3)
    throughput = times.ratio("one by one", "nearest_many")
    return Measure(
        "batch",
        f"throughput of nearest_many, {BATCH} queries",
        throughput,
        at_least=1.5,
        detail=times.milliseconds(*variants),
    )


def _hybrid(hybrid: HybridRepository[Any], connection: psycopg.Connection[Any], filled: Filled, turns: int) -> Measure:
    queries, words = filled.corpus.queries, [_words(text) for text in filled.corpus.texts[: len(filled.corpus.queries)]]
    cursor = connection.cursor(binary=True)
    table = f"documents WHERE collection_id = {filled.collection.id}"
    distance = f"embedding::vector({filled.dimension}) <=> %b"
    nearest = f"SELECT {COLUMNS}, {distance} AS d FROM {table} ORDER BY {distance} LIMIT {FETCH_K}"  # noqa: S608
    # The backslash in the expression is literal. psycopg's percent signs are the parameters.
    vector = text_vector_ddl(filled.collection.language)
    query = f"websearch_to_tsquery('{filled.collection.language}', %s)"
    text = (
        f"SELECT {COLUMNS}, ts_rank_cd({vector}, {query}, 1) AS rank FROM {table} AND {vector} @@ {query} "  # noqa: S608
        f"ORDER BY rank DESC LIMIT {FETCH_K}"
    )

    def halves(turn: int) -> None:
        at = turn % len(queries)
        cursor.execute(nearest, [queries[at], queries[at]], prepare=True).fetchall()
        cursor.execute(text, [words[at], words[at]], prepare=True).fetchall()

    def both(turn: int) -> None:
        at = turn % len(queries)
        hybrid.hybrid(words[at], queries[at], K)

    times = interleave({"halves": halves, "hybrid": both}, turns, warmup=2, run=RUN)
    return Measure(
        "hybrid", "hybrid, time relative to its halves", times.ratio("hybrid", "halves"), at_most=1.5,
        detail=times.milliseconds("halves", "hybrid"),
    )  # fmt: skip


def _words(text: str) -> str:
    """Return the two longest words of a text, as a query that matches a few rows."""
    return " ".join(sorted({word for word in text.split() if word.isalpha()}, key=len)[-2:])


if __name__ == "__main__":
    main()
