"""Drivers: a test that asks for `driver` runs once with each that its side has. And one database to share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from time import sleep
from typing import Any

import pytest
from sqlalchemy import Engine, MetaData, NullPool, create_engine, text

from rowspace.testing import HashingEmbedder

# Of a table whose rows were all rolled back, autovacuum notes that it has none, and its plans become others.
UNVACUUMED = """
    DO $$ DECLARE name regclass; BEGIN
        FOR name IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LOOP
            EXECUTE 'ALTER TABLE ' || name || ' SET (autovacuum_enabled = off)';
        END LOOP;
    END $$
"""
WAITING = text("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
DRIVERS = {"_async": ["psycopg", "asyncpg"], "_sync": ["psycopg", "psycopg2"]}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    side = next((part for part in metafunc.definition.path.parts if part in DRIVERS), None)
    if side is not None and "driver" in metafunc.fixturenames:
        metafunc.parametrize("driver", DRIVERS[side])


class CountingEmbedder(HashingEmbedder):
    """Notes the texts that it embeds."""

    def __init__(self) -> None:
        super().__init__(32)
        self.texts: list[str] = []

    def embed_documents(self, texts: Sequence[str]) -> list[list[float]]:
        self.texts += texts
        return super().embed_documents(texts)


@pytest.fixture
def embedder() -> CountingEmbedder:
    """An embedder of 32 dimensions that notes the texts that it embeds."""
    return CountingEmbedder()


@pytest.fixture(scope="session")
def wait_for_lock() -> Callable[[Engine, Future[Any]], int]:
    """A function that returns the process of the server that waits for a lock in the database of an engine.

    It waits for one, but not when the call is over that was to do so.
    """

    def wait(engine: Engine, call: Future[Any]) -> int:
        aside = create_engine(engine.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with aside.connect() as connection:
            while (pid := connection.scalar(WAITING)) is None:
                assert not call.done(), call.exception()
                sleep(0.01)
        return pid

    return wait


@pytest.fixture(scope="session")
def shared_url(new_shared_database: Callable[[], str]) -> str:
    """One database for the tests that roll everything back."""
    return new_shared_database()


@pytest.fixture(scope="session")
def create_tables(shared_url: str) -> Callable[[MetaData], None]:
    """A function that creates the tables of a test module in that database."""

    def create(metadata: MetaData) -> None:
        engine = create_engine(shared_url, poolclass=NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS citext; CREATE EXTENSION IF NOT EXISTS hstore")
            metadata.create_all(connection)
            connection.exec_driver_sql(UNVACUUMED)

    return create
