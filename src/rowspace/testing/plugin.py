"""The pytest plugin: a migrated PostgreSQL, and sessions whose work is rolled back after each test.

Every run of pytest imports this module if Rowspace is installed. It therefore imports only pytest, and starts no
server until a test uses a fixture.
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
    """Register the async fixtures if a plugin can run them."""
    if config.pluginmanager.has_plugin("asyncio") or config.pluginmanager.has_plugin("anyio"):
        from rowspace.testing import aio

        config.pluginmanager.register(aio, "rowspace-aio")


@pytest.fixture(scope="session")
def rowspace_url() -> Iterator[str]:
    """Yield the URL of a migrated database: `ROWSPACE_TEST_DATABASE_URL`, or that of an embedded server.

    The embedded server is created for this run and deleted afterwards. It needs the extra `embedded`.
    """
    from rowspace.errors import RowspaceError
    from rowspace.testing.server import migrated_database

    with ExitStack() as stack:
        try:
            url = stack.enter_context(migrated_database())
        except RowspaceError as error:
            # A traceback would show the arguments of the driver's functions, including the password.
            pytest.fail(f"No database for the tests: {error}", pytrace=False)
        yield url.render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def rowspace_engine(rowspace_url: str) -> Iterator[Engine]:
    """Yield an engine with binary vectors. Work that bypasses the session fixtures stays in the database."""
    from rowspace.engine import Database

    with Database.open(rowspace_url) as database:
        yield database.engine


@pytest.fixture
def rowspace_sessions(rowspace_engine: Engine) -> Iterator[sessionmaker[Session]]:
    """Yield a session factory, for services. The test sees its sessions' commits, which are rolled back afterwards."""
    from sqlalchemy.orm import sessionmaker

    with rowspace_engine.connect() as connection, connection.begin() as transaction:
        yield sessionmaker(connection, join_transaction_mode="create_savepoint", expire_on_commit=False)
        transaction.rollback()


@pytest.fixture
def rowspace_session(rowspace_sessions: sessionmaker[Session]) -> Iterator[Session]:
    """Yield a session. All its work, including commits, is rolled back after the test."""
    with rowspace_sessions() as session:
        yield session
