"""Searches through the repositories, compared with a prepared query of psycopg."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from benchmarks.database import Filled, connect
from benchmarks.harness import Measure, interleave
from rowspace import Database, DocumentRepository, Repository
from rowspace.repositories.targets import target_of
from rowspace.statements.documents import target_of as collection_target
from rowspace.statements.search import Nearest, nearest, parameters

__all__ = ["RUN", "K", "measure_filter", "measure_search", "raw_sql"]

#: The number of rows to search for, which is the default of `nearest`.
K = 10

#: Consecutive searches of a variant before the next variant's turn.
RUN = 20

#: The columns of a Document without the embedding.
COLUMNS = "collection_id, id, content, metadata, created_at, updated_at"

Search = Callable[[Any], Any]


def raw_sql(filled: Filled, placeholder: str, *, documents: bool) -> str:
    """Return the search as handwritten SQL, with the same columns, table and index."""
    if documents:
        # Through the parent table, which has the privileges and row-level policies.
        table = f"documents WHERE collection_id = {filled.collection.id}"
        columns, indexed = COLUMNS, f"embedding::vector({filled.dimension})"
    else:
        columns, table, indexed = "id, content, metadata", filled.model.__tablename__, "embedding"
    distance = f"{indexed} <=> {placeholder}"
    return f"SELECT {columns}, {distance} AS distance FROM {table} ORDER BY {distance} LIMIT {K}"  # noqa: S608


def raw_search(connection: psycopg.Connection[Any], filled: Filled, *, documents: bool) -> Search:
    """Return that search on psycopg: prepared, with its parameters and rows in binary.

    Raises:
        RuntimeError: the planner does not use the vector index, so the comparison would be one of table scans.
    """
    sql = raw_sql(filled, "%b", documents=documents)
    cursor = connection.cursor(binary=True)
    query = filled.corpus.queries[0]
    plan = connection.execute(f"EXPLAIN {sql}", [query, query]).fetchall()
    if not any("_embedding on" in line for (line,) in plan):
        message = f"The plan is without the vector index: {plan}"
        raise RuntimeError(message)
    return lambda query: cursor.execute(sql, [query, query], prepare=True).fetchall()


def measure_search(database: Database, filled: Filled, turns: int) -> list[Measure]:
    """Compare `nearest` of both repositories with the raw query, and SQLAlchemy with a prebuilt statement."""
    measures = []
    with connect(database.engine.url) as connection, database.session() as session:
        own, documents = Repository(session, filled.model), DocumentRepository(session, filled.collection)
        for repository in (own, documents):
            searches = {
                "raw": raw_search(connection, filled, documents=repository is documents),
                "nearest": repository.nearest,
                "statement": _statement(session, filled, documents=repository is documents),
            }
            variants = {name: _over(filled.corpus.queries, search) for name, search in searches.items()}
            times = interleave(variants, turns, warmup=2, run=RUN)
            name, detail = f"{type(repository).__name__}, {filled.dimension}-d", times.milliseconds("raw", "nearest")
            measures.append(Measure("search", name, times.ratio("nearest", "raw"), at_most=1.2, detail=detail))
            name, detail = f"the same with SQLAlchemy alone, {filled.dimension}-d", times.milliseconds("statement")
            measures.append(Measure("search", name, times.ratio("statement", "raw"), detail=detail))
    return measures


def _statement(session: Session, filled: Filled, *, documents: bool) -> Search:
    """Return the execution of a prebuilt statement: the remaining time without Rowspace."""
    target = collection_target(filled.collection) if documents else target_of(filled.model, None, None)
    statement = nearest(target, Nearest(K))
    return lambda query: session.execute(statement, parameters(query)).all()


def _over(queries: NDArray[np.float32], search: Search) -> Callable[[int], object]:
    return lambda turn: search(queries[turn % len(queries)])


def measure_filter(database: Database, filled: Filled, turns: int) -> list[Measure]:
    """Compare a search with a filter that 1 % of the rows match with the raw search without a filter."""
    queries = filled.corpus.queries
    with connect(database.engine.url) as connection, database.session() as session:
        raw = raw_search(connection, filled, documents=True)
        repository = DocumentRepository(session, filled.collection)

        def filtered(turn: int, **options: Any) -> list[str]:
            hits = repository.nearest(queries[turn % len(queries)], K, where={"bucket": turn % 100}, **options)
            return [hit.entity.id for hit in hits]

        variants: dict[str, Callable[[int], object]] = {"raw unfiltered": _over(queries, raw), "filtered": filtered}
        times = interleave(variants, turns, warmup=2, run=RUN)
        found = [(filtered(turn), filtered(turn, exact=True)) for turn in range(min(turns, 200))]
    fewest = min(len(hits) for hits, _ in found)
    recall = sum(len({*hits} & {*exact}) / len(exact) for hits, exact in found) / len(found)
    dimension = f"{filled.dimension}-d"
    return [
        Measure("filter", f"rows returned of {K}, fewest, {dimension}", fewest, at_least=K),
        Measure("filter", f"recall@{K}, {dimension}", recall, at_least=0.98),
        Measure(
            "filter",
            f"time at 1 %, {dimension}",
            times.ratio("filtered", "raw unfiltered"),
            at_most=1.3,
            detail=times.milliseconds(*variants),
        ),
    ]
