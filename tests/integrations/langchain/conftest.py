"""One database for the folder; each test has a collection of its own name."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest


@pytest.fixture(scope="session")
def url(new_shared_database: Callable[[], str]) -> str:
    return new_shared_database()


@pytest.fixture
def name() -> str:
    return f"test-{uuid4().hex[:12]}"


@pytest.fixture(params=["psycopg", "asyncpg"])
def driver_url(request: pytest.FixtureRequest, url: str) -> str:
    return url.replace("+psycopg", f"+{request.param}")
