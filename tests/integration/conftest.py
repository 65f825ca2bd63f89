"""Drivers: a test that asks for `driver` runs once with each that its side has."""

from __future__ import annotations

import pytest

DRIVERS = {"_async": ["psycopg", "asyncpg"], "_sync": ["psycopg", "psycopg2"]}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    side = next((part for part in metafunc.definition.path.parts if part in DRIVERS), None)
    if side is not None and "driver" in metafunc.fixturenames:
        metafunc.parametrize("driver", DRIVERS[side])
