"""Databases for the adapters."""

from __future__ import annotations

import pytest

from rowspace import Database


@pytest.fixture(scope="module")
def database_url(new_database):
    """One database for the tests of a module, each of which rolls back what it did."""
    return new_database()


@pytest.fixture
def session(database_url):
    with Database.open(database_url) as database, database.session() as session:
        yield session
