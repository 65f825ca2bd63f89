"""The async fixtures of the pytest plugin, on psycopg; registered only where pytest-asyncio or anyio runs them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

try:
    # In its strict mode pytest-asyncio runs no other fixtures than its own.
    from pytest_asyncio import fixture
except ImportError:
    fixture = pytest.fixture  # type: ignore[assignment]

__all__ = ["rowspace_async_session", "rowspace_async_sessions", "rowspace_async_url"]


@pytest.fixture(scope="session")
def rowspace_async_url(rowspace_url: str) -> str:
    """Return the URL of the async fixtures; override it in a conftest.py to name asyncpg."""
    return rowspace_url


@fixture
async def rowspace_async_sessions(rowspace_async_url: str) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    """Yield an async session factory, for services: what its sessions commit is rolled back after the test."""
    from sqlalchemy import NullPool
    from sqlalchemy.ext.asyncio import async_sessionmaker

    from rowspace.engine import AsyncDatabase

    # Without a pool: a connection belongs to the event loop of one test.
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
    """Yield an async session; whatever it does, and commits, is rolled back after the test."""
    async with rowspace_async_sessions() as session:
        yield session
