"""Transactions over the same collection at once: who comes too late is told so, by a service as by a repository."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import sessionmaker

from rowspace import CollectionRepository, Database, DocumentService
from rowspace.errors import CollectionNotFound, StoreUnavailable, TransactionConflict

WAITING = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
PID, END = text("SELECT pg_backend_pid()"), text("SELECT pg_terminate_backend(:pid, 5000)")


@pytest.fixture
def url(new_database):
    return new_database()


@pytest.fixture(params=["READ COMMITTED", "REPEATABLE READ"])
def database(request, url):
    with Database.open(url, isolation_level=request.param) as database:
        yield database


def while_it_waits(database, call):
    """Start a call in a thread and return it as soon as it waits for a lock."""
    with Database.open(database.engine.url) as aside, ThreadPoolExecutor(1) as pool:
        running = pool.submit(call)
        while not running.done():
            with aside.session() as session:
                if session.scalar(WAITING):
                    break
            sleep(0.01)
        yield running


def test_a_collection_that_somebody_else_creates_meanwhile_is_returned(database):
    service = DocumentService(database)
    with database.session() as session:
        CollectionRepository(session).create("new", 2)
        for running in while_it_waits(database, lambda: service.create_collection("new", 2, exist_ok=True)):
            session.commit()
            assert running.result(60).dimension == 2


def test_a_collection_that_somebody_else_drops_meanwhile_is_not_dropped_twice(database):
    service = DocumentService(database)
    service.create_collection("old", 2)
    with database.session() as session:
        CollectionRepository(session).drop("old")
        for running in while_it_waits(database, lambda: service.drop_collection("old")):
            session.commit()
            with pytest.raises((CollectionNotFound, TransactionConflict)):
                running.result(60)


def test_a_rename_that_comes_too_late(url):
    with Database.open(url, isolation_level="REPEATABLE READ") as database, database.begin() as setup:
        CollectionRepository(setup).create("old", 2)
        setup.commit()
        with database.sessions() as late, database.begin() as early:
            collections = CollectionRepository(late)
            assert collections.get("old").dimension == 2
            CollectionRepository(early).rename("old", "new")
            early.commit()
            with pytest.raises(TransactionConflict, match="run the whole transaction again"):
                collections.rename("old", "newer")


def test_a_commit_that_fails_of_a_sessionmaker(url):
    with Database.open(url) as database:
        sessions = sessionmaker(database.engine)

        @event.listens_for(sessions, "before_commit")
        def end(session):
            if not session.in_nested_transaction():
                with database.begin() as other:
                    other.execute(END, {"pid": session.scalar(PID)})

        with pytest.raises(StoreUnavailable, match="Check that the server is running"):
            DocumentService(sessions).create_collection("new", 2)
        assert DocumentService(database).collections() == []
