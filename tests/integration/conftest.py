"""Drivers: a test that asks for `driver` runs once with each that its side has. And one database to share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import MetaData, NullPool, create_engine

# Of a table whose rows were all rolled back, autovacuum notes that it has none, and its plans become others.
UNVACUUMED = """
    DO $$ DECLARE name regclass; BEGIN
        FOR name IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LOOP
            EXECUTE 'ALTER TABLE ' || name || ' SET (autovacuum_enabled = off)';
        END LOOP;
    END $$
"""
DRIVERS = {"_async": ["psycopg", "asyncpg"], "_sync": ["psycopg", "psycopg2"]}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    side = next((part for part in metafunc.definition.path.parts if part in DRIVERS), None)
    if side is not None and "driver" in metafunc.fixturenames:
        metafunc.parametrize("driver", DRIVERS[side])


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
            connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS citext")
            metadata.create_all(connection)
            connection.exec_driver_sql(UNVACUUMED)

    return create
