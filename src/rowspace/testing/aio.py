"""The async fixtures of the pytest plugin, on psycopg. They are registered only if pytest-asyncio or anyio is there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

try:
    # In strict mode, pytest-asyncio handles only its own fixtures.
    from pytest_asyncio import fixture
except ImportError:
    fixture = pytest.fixture  # type: ignore[assignment]

__all__ = ["rowspace_async_session", "rowspace_async_sessions", "rowspace_async_url"]


@pytest.fixture(scope="session")
def rowspace_async_url(rowspace_url: str) -> str:
    """Return the URL for the async fixtures. To use asyncpg, override this fixture in a conftest.py."""
    return rowspace_url


@fixture
async def rowspace_async_sessions(rowspace_async_url: str) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    """Yield an async session factory, for services. All commits of its sessions are rolled back after the test."""
    from sqlalchemy import NullPool
    from sqlalchemy.ext.asyncio import async_sessionmaker

    from rowspace.engine import AsyncDatabase

    # No pool, because a connection belongs to the event loop of one test.
    async with (
        AsyncDatabase.open(rowspace_async_url, poolclass=NullPool) as database,
        database.engine.connect() as connection,
        connection.begin() as transaction,
    ):
        yield async_sessionmaker(connection, join_transaction_mode="create_savepoint", expire_on_commit=False)
        await transaction.rollback()


@fixture
async def rowspace_async_session(
    rowspace_async_sessions: async_sessionmaker[AsyncSession],
) -> AsyncIterator[AsyncSession]:
    """Yield an async session. All its work, including commits, is rolled back after the test."""
    async with rowspace_async_sessions() as session:
        yield session
