"""Putting rows into the order of a key beside others who use them, and what is left where it is stopped."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from time import sleep
from uuid import uuid4

import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import OperationalError

from rowspace import CollectionRepository, Database, DocumentRepository, IndexBuilder

WAITING = text("SELECT pid FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'")


def test_one_that_is_stopped_changes_nothing(index_url):
    with Database.open(index_url) as database, create_engine(index_url, poolclass=NullPool).connect() as reader:
        with database.begin() as session:
            collection = CollectionRepository(session).create(uuid4().hex, 3)
            rows = ({"id": str(n), "content": "", "embedding": [n, 1, 1], "meta": {"a": n % 3}} for n in range(30))
            DocumentRepository(session, collection).upsert(rows)
        builder = IndexBuilder(database.engine, collection)
        before = [(status.name, status.state) for status in builder.create()]
        reader.execute(text(f"SELECT id FROM {collection.partition}"))
        with ThreadPoolExecutor(1) as threads:
            clustering = threads.submit(builder.cluster, "a")
            while (pid := reader.scalar(WAITING)) is None:
                sleep(0.01)
            reader.execute(text("SELECT pg_cancel_backend(:pid)"), {"pid": pid})
            with pytest.raises(OperationalError, match="canceling statement"):
                clustering.result(30)
        reader.rollback()
        assert [(status.name, status.state) for status in builder.status()] == before
        assert [(status.name, status.state) for status in builder.cluster("a")] == before
