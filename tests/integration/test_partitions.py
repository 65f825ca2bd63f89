"""A search in one of 300 collections touches one partition, whichever way the statement is planned."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sqlalchemy import event, text

from rowspace import CollectionRepository, Database, DocumentRepository

COLLECTIONS = 300


@pytest.fixture(scope="module")
def database(new_module_database):
    with Database.open(new_module_database()) as database:
        with database.begin() as session:
            for number in range(COLLECTIONS):
                CollectionRepository(session).create(f"c{number}", 4)
            collection = CollectionRepository(session).get("c150")
            vectors = np.random.default_rng(1).normal(size=(500, 4))
            documents = DocumentRepository(session, collection)
            documents.upsert(
                {"id": str(at), "content": "c", "embedding": vector, "meta": {"n": at}}
                for at, vector in enumerate(vectors)
            )
            documents.create_indexes()
        yield database


@pytest.fixture
def plans(database):
    """The relations that each SELECT on documents scans, by auto_explain's own plan: EXPLAIN of what was sent."""
    seen = []

    def explain(connection, cursor, statement, parameters, *_):
        if "FROM documents" in statement and not statement.startswith("EXPLAIN"):
            done = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
            seen.append(scanned(done.scalar_one()))

    event.listen(database.engine, "before_cursor_execute", explain)
    yield seen
    event.remove(database.engine, "before_cursor_execute", explain)


def scanned(plan):
    plan = json.loads(plan) if isinstance(plan, str) else plan
    nodes, found = [plan[0]["Plan"]], set()
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if "Relation Name" in node:
            found.add(node["Relation Name"])
    return found


@pytest.mark.parametrize("options", [{}, {"where": {"n": {"$lt": 250}}}, {"max_distance": 0.5}, {"exact": True}])
def test_a_search_touches_one_partition(database, plans, options):
    with database.begin() as session:
        collection = CollectionRepository(session).get("c150")
        documents = DocumentRepository(session, collection)
        hits = documents.nearest([1, 2, 3, 4], 5, **options)
        assert len(hits) == 5
        assert plans
        assert set.union(*plans) == {collection.partition}


def test_reading_and_changing_touch_one_partition(database, plans):
    with database.session() as session:
        collection = CollectionRepository(session).get("c150")
        documents = DocumentRepository(session, collection)
        assert len(documents.get(["1", "2"])) == 2
        assert documents.count(where={"n": 3}) == 1
        assert not documents.is_empty()
        assert len(documents.fingerprints(["1"])) == 1
        assert set.union(*plans) == {collection.partition}


def test_a_statement_that_is_prepared_stays_pruned(database):
    """psycopg prepares after five runs, and PostgreSQL may keep one plan for any value after five more."""
    with database.begin() as session:
        collection = CollectionRepository(session).get("c150")
        documents = DocumentRepository(session, collection)
        for _ in range(15):
            assert len(documents.nearest([1, 2, 3, 4], 5)) == 5
        locks = text("SELECT count(DISTINCT relation) FROM pg_locks WHERE pid = pg_backend_pid() AND relation IN "
                     "(SELECT inhrelid FROM pg_inherits WHERE inhparent = 'documents'::regclass)")  # fmt: skip
        assert session.scalar(locks) == 1
