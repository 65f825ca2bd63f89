"""Two first loads of one collection at once: each builds the indexes at its end, and neither waits for the other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from rowspace import CollectionRepository, Database, DocumentRepository, DocumentService
from rowspace.errors import EmbedderMismatch
from rowspace.testing import HashingEmbedder

INDEXES = text("SELECT count(*) FROM pg_indexes WHERE tablename = :name AND indexname LIKE 'ix_%'")


@pytest.fixture
def database(new_database):
    with Database.open(new_database()) as database:
        DocumentService(database).create_collection("first", 2)
        yield database


def row(number):
    return {"id": str(number), "content": "text", "embedding": [1, number]}


@pytest.mark.parametrize("options", [{}, {"commit_batches": True}])
def test_the_second_waits_before_it_writes(database, wait_for_lock, options):
    with ThreadPoolExecutor(1) as pool:
        with database.begin() as session:
            collection = CollectionRepository(session).get("first")
            documents = DocumentRepository(session, collection)
            assert documents.begin_first_load()
            documents.upsert([row(1)])
            second = pool.submit(DocumentService(database).add, "first", [row(2)], **options)
            wait_for_lock(database.engine, second)
            documents.create_indexes()
        assert second.result(60).written == 1
    with database.session() as session:
        assert DocumentRepository(session, collection).count() == 2
        assert session.scalar(INDEXES, {"name": collection.partition}) == 3
        assert not DocumentRepository(session, collection).begin_first_load()


def test_many_at_once(database):
    service = DocumentService(database)
    with ThreadPoolExecutor(8) as pool:
        reports = [*pool.map(lambda number: service.add("first", [row(number)]), range(24))]
    assert [report.inserted for report in reports] == [1] * 24
    assert service.count("first") == 24


@pytest.mark.parametrize("options", [{}, {"commit_batches": True}])
def test_one_that_brings_nothing_builds_no_indexes(database, options):
    service, bad = DocumentService(database), []
    assert service.add("first", [], **options).received == 0
    assert service.add("first", [{**row(1), "content": "\0"}], rejects=bad.append, **options).rejected == 1
    assert len(bad) == 1
    with database.session() as session:
        collection = CollectionRepository(session).get("first")
        assert session.scalar(INDEXES, {"name": collection.partition}) == 0


def test_the_embedder_is_that_of_the_first(database, wait_for_lock):
    service = DocumentService(database, HashingEmbedder(2))
    with ThreadPoolExecutor(1) as pool:
        with database.begin() as session:
            CollectionRepository(session).get("first").embedder = "another"
            session.flush()
            second = pool.submit(service.add, "first", ["text"])
            wait_for_lock(database.engine, second)
        with pytest.raises(EmbedderMismatch, match="'another'"):
            second.result(60)
    assert service.count("first") == 0
