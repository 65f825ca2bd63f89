"""Dropping a collection takes a lock on the table of all: who waits for it does not keep the others waiting."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from rowspace import CollectionRepository, Database, DocumentRepository, DocumentService
from rowspace.errors import TransactionConflict
from rowspace.statements import locks

IMPATIENT = text("SET LOCAL lock_timeout = '10s'")
PATIENCE = text("SELECT current_setting('lock_timeout')")


@pytest.fixture
def database(new_database):
    with Database.open(new_database()) as database:
        service = DocumentService(database)
        for name in ("read", "dropped", "searched"):
            service.create_collection(name, 2)
        yield database


def search(session, name):
    return DocumentRepository(session, CollectionRepository(session).get(name)).nearest([1, 2], 1)


def test_others_are_searched_while_a_drop_waits_for_a_long_transaction(database, wait_for_lock):
    with ThreadPoolExecutor(1) as pool, database.session() as long:
        search(long, "read")
        dropping = pool.submit(DocumentService(database).drop_collection, "dropped")
        wait_for_lock(database.engine, dropping)
        try:
            with database.begin() as session:
                session.execute(IMPATIENT)
                assert search(session, "searched") == []
            assert not dropping.done()
        finally:
            long.rollback()
        dropping.result(60)
    assert [one.name for one in DocumentService(database).collections()] == ["read", "searched"]


def test_a_drop_that_never_comes_to_its_lock_says_why(database, monkeypatch):
    monkeypatch.setattr(locks, "TRIES", 1)
    with database.session() as long:
        search(long, "read")
        with pytest.raises(
            TransactionConflict,
            match=r"documents of any collection stayed open for two minutes\. Another transaction",
        ):
            DocumentService(database).drop_collection("dropped")
    assert "dropped" in [one.name for one in DocumentService(database).collections()]


def test_the_limit_ends_with_the_drop(database):
    with database.begin() as session:
        session.execute(IMPATIENT)
        CollectionRepository(session).drop("dropped")
        assert session.scalar(PATIENCE) == "10s"
