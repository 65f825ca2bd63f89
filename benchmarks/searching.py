"""Searches through the repositories, against a prepared query of psycopg's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg

from benchmarks.database import Filled, connect
from benchmarks.harness import Measure, interleave
from rowspace import Database, DocumentRepository, Repository

__all__ = ["K", "measure_filter", "measure_search", "raw_sql"]

#: Rows asked for: what `nearest` returns by default.
K = 10

#: What a Document is made of, without the embedding.
COLUMNS = "collection_id, id, content, metadata, created_at, updated_at"

Search = Callable[[Any], Any]


def raw_sql(filled: Filled, placeholder: str, *, documents: bool) -> str:
    """Return the search as one would write it: the same columns of the same table, by the same index."""
    if documents:
        # By way of the parent, which is where privileges and row-level policies are.
        table = f"documents WHERE collection_id = {filled.collection.id}"
        columns, indexed = COLUMNS, f"embedding::vector({filled.dimension})"
    else:
        columns, table, indexed = "id, content, metadata", filled.model.__tablename__, "embedding"
    distance = f"{indexed} <=> {placeholder}"
    return f"SELECT {columns}, {distance} AS distance FROM {table} ORDER BY {distance} LIMIT {K}"  # noqa: S608


def raw_search(connection: psycopg.Connection[Any], filled: Filled, *, documents: bool) -> Search:
    """Return that search on psycopg: prepared, with its parameters and its rows in binary."""
    sql = raw_sql(filled, "%b", documents=documents)
    cursor = connection.cursor(binary=True)
    return lambda query: cursor.execute(sql, [query, query], prepare=True).fetchall()


def measure_search(database: Database, filled: Filled, turns: int) -> list[Measure]:
    """Compare `nearest` of both repositories with the raw query."""
    measures = []
    with connect(database.engine.url) as connection, database.session() as session:
        own, documents = Repository(session, filled.model), DocumentRepository(session, filled.collection)
        for repository in (own, documents):
            raw = raw_search(connection, filled, documents=repository is documents)
            variants = _variants(raw, repository.nearest, filled)
            times = interleave(variants, turns, warmup=20, before=variants["raw"])
            name, detail = f"{type(repository).__name__}, {filled.dimension}-d", times.milliseconds("raw", "nearest")
            measures.append(Measure("search", name, times.ratio("nearest", "raw"), at_most=1.3, detail=detail))
    return measures


def _variants(raw: Search, search: Search, filled: Filled) -> dict[str, Callable[[int], object]]:
    queries = filled.corpus.queries
    return {"raw": lambda t: raw(queries[t % len(queries)]), "nearest": lambda t: search(queries[t % len(queries)])}


def measure_filter(database: Database, filled: Filled, turns: int) -> list[Measure]:
    """Compare a search under a filter that 1 % of the rows pass with the raw search without one."""
    queries = filled.corpus.queries
    with connect(database.engine.url) as connection, database.session() as session:
        raw = raw_search(connection, filled, documents=True)
        repository = DocumentRepository(session, filled.collection)

        def filtered(turn: int, **options: Any) -> list[str]:
            hits = repository.nearest(queries[turn % len(queries)], K, filter={"bucket": turn % 100}, **options)
            return [hit.entity.id for hit in hits]

        variants = {"raw unfiltered": lambda turn: raw(queries[turn % len(queries)]), "filtered": filtered}
        times = interleave(variants, turns, warmup=20, before=lambda turn: [run(turn) for run in variants.values()])
        found = [(filtered(turn), filtered(turn, exact=True)) for turn in range(min(turns, 200))]
    fewest = min(len(hits) for hits, _ in found)
    recall = sum(len({*hits} & {*exact}) / len(exact) for hits, exact in found) / len(found)
    dimension = f"{filled.dimension}-d"
    return [
        Measure("filter", f"rows of {K}, fewest, {dimension}", fewest, at_least=K),
        Measure("filter", f"recall@{K}, {dimension}", recall, at_least=0.98),
        Measure(
            "filter",
            f"time at 1 %, {dimension}",
            times.ratio("filtered", "raw unfiltered"),
            at_most=1.3,
            detail=times.milliseconds(*variants),
        ),
    ]
