"""The pytest plugin: a migrated PostgreSQL, and sessions whose work is rolled back after each test.

Every run of pytest where Rowspace is installed imports this module: nothing but pytest is imported here, and no
server is started, until a test asks for a fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session, sessionmaker

__all__ = ["rowspace_engine", "rowspace_session", "rowspace_sessions", "rowspace_url"]


def pytest_configure(config: pytest.Config) -> None:
    """Add the async fixtures where a plugin is there to run them."""
    if config.pluginmanager.has_plugin("asyncio") or config.pluginmanager.has_plugin("anyio"):
        from rowspace.testing import aio

        config.pluginmanager.register(aio, "rowspace-aio")


@pytest.fixture(scope="session")
def rowspace_url() -> Iterator[str]:
    """Yield the URL of a migrated database: `ROWSPACE_TEST_DATABASE_URL`, else that of an embedded server.

    The embedded server is made for this run and deleted after it; it needs the extra `embedded`.
    """
    from rowspace.errors import RowspaceError
    from rowspace.testing.server import migrated_database

    with ExitStack() as stack:
        try:
            url = stack.enter_context(migrated_database())
        except RowspaceError as error:
            # Of a traceback pytest shows the arguments of the driver's functions, the password among them.
            pytest.fail(f"No database for the tests: {error}", pytrace=False)
        yield url.render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def rowspace_engine(rowspace_url: str) -> Iterator[Engine]:
    """Yield an engine with binary vectors; what is done through it directly stays in the database."""
    from rowspace.engine import Database

    with Database.open(rowspace_url) as database:
        yield database.engine


@pytest.fixture
def rowspace_sessions(rowspace_engine: Engine) -> Iterator[sessionmaker[Session]]:
    """Yield a session factory, for services: what its sessions commit is seen by the test and rolled back after it."""
    from sqlalchemy.orm import sessionmaker

    with rowspace_engine.connect() as connection, connection.begin() as transaction:
        yield sessionmaker(connection, join_transaction_mode="create_savepoint", expire_on_commit=False)
        transaction.rollback()


@pytest.fixture
def rowspace_session(rowspace_sessions: sessionmaker[Session]) -> Iterator[Session]:
    """Yield a session; whatever it does, and commits, is rolled back after the test."""
    with rowspace_sessions() as session:
        yield session
