"""`rowspace index`, `rowspace tune` and `rowspace doctor`, as a user runs them."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from rowspace import HNSW, CollectionRepository, Database, DocumentRepository
from rowspace.cli.app import app

DIMENSION = 96


@pytest.fixture
def database(index_url):
    with Database.open(index_url) as database:
        yield database


@pytest.fixture
def collection(database, vectors):
    """A collection of 2,000 documents without indexes, gone afterwards."""
    with database.begin() as session:
        made = CollectionRepository(session).create(uuid4().hex, DIMENSION, index=HNSW(quantize="bit"))
        rows = (
            {"id": str(n), "content": "text", "embedding": vector, "meta": {"tenant": n % 9}}
            for n, vector in enumerate(vectors)
        )
        DocumentRepository(session, made).upsert(rows)
        session.execute(text(f"ANALYZE {made.partition}"))
    yield made
    with database.begin() as session:
        CollectionRepository(session).drop(made.name)


@pytest.fixture
def rowspace(index_url):
    """Return a function that runs a command and gives its result."""

    def run(*arguments):
        return CliRunner().invoke(app, [*arguments], env={"ROWSPACE_DATABASE_URL": index_url})

    return run


def table(output):
    return [line.split("\t") for line in output.splitlines()]


def test_cluster(rowspace, collection):
    clustered = rowspace("index", "cluster", collection.name, "tenant", "--memory", "64MB")
    assert (clustered.exit_code, f"ix_{collection.partition}_embedding" in clustered.stdout) == (0, True)
    refused = rowspace("index", "cluster", collection.name, "a..b")
    assert refused.exit_code != 0
    assert "'a..b'" in refused.stderr
    mistyped = rowspace("index", "cluster", collection.name, "tennant")
    assert (mistyped.exit_code, mistyped.stderr.splitlines()[0]) == (
        1,
        "Error: No row has the key 'tennant', so there is nothing to cluster. Check its spelling.",
    )


def test_build_status_reindex_and_drop(rowspace, collection):
    name = f"ix_{collection.partition}_embedding"
    before = rowspace("index", "status", collection.name)
    assert [name, "hnsw", "missing", "0.0 MB", "0", "0", ""] in table(before.stdout)
    built = rowspace("index", "build", collection.name, "--memory", "64MB", "--workers", "0")
    assert built.exit_code == 0
    (row,) = [row for row in table(built.stdout) if row[0] == name]
    assert (row[1:3], row[4:]) == (["hnsw", "valid"], ["2000", "0", ""])
    assert rowspace("index", "reindex", collection.name, "--block-writes").exit_code == 0
    assert rowspace("index", "repair", collection.name).exit_code == 0
    refused = rowspace("index", "drop", collection.name)
    assert (refused.exit_code, "--yes" in refused.stderr) == (2, True)
    assert rowspace("index", "drop", collection.name, "--yes").exit_code == 0
    found = json.loads(rowspace("index", "status", collection.name, "--json").stdout)
    assert {status["name"]: status["state"] for status in found}[name] == "missing"
    assert rowspace("index", "status").exit_code == 0


def test_an_index_that_nobody_asked_for(rowspace, database, collection):
    with database.begin() as session:
        session.execute(text(f"CREATE INDEX {collection.partition}_own ON {collection.partition} (content)"))
    remarks = {row[0]: row[-1] for row in table(rowspace("index", "status", collection.name).stdout)}
    assert remarks[f"{collection.partition}_own"] == "not declared"
    assert remarks[f"pk_{collection.partition}"] == ""


def test_an_index_on_a_key(rowspace, collection):
    name = f"ix_{collection.partition}_key_author.name"
    built = rowspace("index", "build", collection.name, "--key", "author.name", "--memory", "64MB")
    assert (built.exit_code, [row[1:3] for row in table(built.stdout) if row[0] == name]) == (0, [["btree", "valid"]])
    assert all(row[2] == "valid" for row in table(built.stdout)[1:])
    refused = rowspace("index", "build", collection.name, "--key", "a..b")
    assert (refused.exit_code, "'a..b'" in refused.stderr) == (1, True)
    dropped = rowspace("index", "drop", collection.name, "--key", "author.name", "--yes")
    assert (dropped.exit_code, "Dropped the index on 'author.name' of" in dropped.stderr) == (0, True)
    again = rowspace("index", "drop", collection.name, "--key", "author.nam", "--yes")
    assert (again.exit_code, "There is no index" in again.stderr) == (1, True)
    left = rowspace("index", "status", collection.name).stdout
    assert (name in left, f"ix_{collection.partition}_embedding" in left) == (False, True)


def test_a_wrong_name_and_a_wrong_size(rowspace, collection):
    wrong = rowspace("index", "build", collection.name[:-1])
    assert (wrong.exit_code, "Did you mean" in wrong.stderr) == (1, True)
    wrong = rowspace("index", "build", collection.name, "--memory", "lots")
    assert (wrong.exit_code, "kB, MB, GB or TB" in wrong.stderr) == (1, True)


def test_tune_prints_the_curve_and_keeps_it(rowspace, database, collection):
    rowspace("index", "build", collection.name)
    # As it is on a table that is not small.
    with database.engine.begin() as connection:
        connection.execute(text(f"ALTER DATABASE {connection.engine.url.database} SET enable_seqscan = off"))
    try:
        tuned = rowspace("tune", collection.name, "--recall", "0.9", "--queries", "20")
        assert tuned.exit_code == 0, tuned.stderr
        header, *rows = table(tuned.stdout)
        assert header == ["ef_search", "recall", "median ms", "chosen"]
        (chosen,) = [row for row in rows if row[3] == "*"]
        assert float(chosen[1]) >= 0.9
        with database.begin() as session:
            kept = CollectionRepository(session).get(collection.name).index["tuning"]
        assert [kept["name"], kept["target"], kept["queries"]] == ["ef_search", 0.9, 20]
        again = json.loads(rowspace("tune", collection.name, "--queries", "5", "--json").stdout)
        assert again["reached"] is True
        vector = ["--vector", json.dumps([1.0] * collection.dimension), "-c", collection.name]
        # Bits find half of the nearest at the least setting, of five random queries sometimes less.
        least, recall, _ = again["points"][0]
        sql = rowspace("search", *vector, "--recall", str(recall), "--sql").stdout
        assert f"SET LOCAL hnsw.ef_search = {least}" in sql
    finally:
        with database.engine.begin() as connection:
            connection.execute(text(f"ALTER DATABASE {connection.engine.url.database} RESET enable_seqscan"))


def test_tune_without_an_index(rowspace, collection):
    refused = rowspace("tune", collection.name, "--queries", "2")
    assert (refused.exit_code, "has no vector index" in refused.stderr) == (1, True)


def test_doctor_has_an_exit_code_for_machines(rowspace, collection):
    sick = rowspace("doctor")
    assert sick.exit_code == 1
    assert f"fix: rowspace index build {collection.name}" in sick.stdout
    found = json.loads(rowspace("doctor", "--json").stdout)
    assert "missing-index" in {finding["check"] for finding in found}
    rowspace("index", "build", collection.name)
    well = rowspace("doctor", "--recall", "0.5", "--queries", "3")
    assert collection.name not in well.stdout
