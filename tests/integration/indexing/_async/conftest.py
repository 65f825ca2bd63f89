"""A database whose builds are not rolled back, on each driver, and a session on it."""

from __future__ import annotations

import pytest
from sqlalchemy import make_url

from rowspace import AsyncDatabase


@pytest.fixture
async def database(index_url, driver):
    async with AsyncDatabase.open(make_url(index_url).set(drivername=f"postgresql+{driver}")) as database:
        yield database


@pytest.fixture
async def session(index_url):
    async with AsyncDatabase.open(index_url) as database, database.session() as session:
        yield session
