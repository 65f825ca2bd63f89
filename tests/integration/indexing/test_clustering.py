"""Putting rows into the order of a key beside others who use them, and what is left where it is stopped."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import OperationalError

from rowspace import CollectionRepository, Database, DocumentRepository, IndexBuilder
from rowspace.errors import TransactionConflict
from rowspace.statements import locks


@pytest.fixture
def database(index_url):
    with Database.open(index_url) as opened:
        yield opened


@pytest.fixture
def collection(database):
    with database.begin() as session:
        collection = CollectionRepository(session).create(uuid4().hex, 3)
        rows = ({"id": str(n), "content": "", "embedding": [n, 1, 1], "meta": {"a": n % 3}} for n in range(30))
        DocumentRepository(session, collection).upsert(rows)
    return collection


@pytest.fixture
def builder(database, collection):
    return IndexBuilder(database.engine, collection)


@pytest.fixture
def reader(index_url, collection):
    """A connection in a transaction that has read the table."""
    with create_engine(index_url, poolclass=NullPool).connect() as reader:
        reader.execute(text(f"SELECT id FROM {collection.partition}"))
        yield reader


def test_one_that_is_stopped_changes_nothing(builder, reader, wait_for_lock):
    reader.rollback()
    before = [(status.name, status.state) for status in builder.create()]
    reader.execute(text(f"SELECT id FROM {builder.status()[0].table}"))
    with ThreadPoolExecutor(1) as threads:
        clustering = threads.submit(builder.cluster, "a")
        reader.execute(text("SELECT pg_cancel_backend(:pid)"), {"pid": wait_for_lock(reader.engine, clustering)})
        with pytest.raises(OperationalError, match="canceling statement"):
            clustering.result(30)
    reader.rollback()
    assert [(status.name, status.state) for status in builder.status()] == before
    assert [(status.name, status.state) for status in builder.cluster("a")] == before


def test_others_read_and_write_while_it_waits_for_a_long_transaction(
    builder, reader, database, collection, wait_for_lock
):
    with ThreadPoolExecutor(1) as threads:
        clustering = threads.submit(builder.cluster, "a")
        wait_for_lock(reader.engine, clustering)
        try:
            with database.begin() as session:
                session.execute(text("SET LOCAL lock_timeout = '10s'"))
                documents = DocumentRepository(session, collection)
                assert (len(documents.nearest([1, 1, 1], 5)), documents.delete(["0"])) == (5, 1)
            assert not clustering.done()
        finally:
            reader.rollback()
        clustering.result(60)


def test_one_that_never_comes_to_its_lock_says_why(builder, reader, collection, monkeypatch):
    monkeypatch.setattr(locks, "TRIES", 1)
    with pytest.raises(
        TransactionConflict, match=rf"written {collection.partition} stayed open for two minutes\. Another transaction"
    ):
        builder.cluster("a")
    assert reader.scalar(text("SELECT 1")) == 1
