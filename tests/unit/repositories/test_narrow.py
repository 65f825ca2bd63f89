from __future__ import annotations

import pytest
from sqlalchemy import create_engine

from rowspace.repositories import narrow
from rowspace.repositories.narrow import is_few, remember


@pytest.fixture
def engine():
    return create_engine("postgresql+psycopg://")


def test_a_filter_that_comes_again_is_counted_at_its_third_use_and_after_a_minute(engine, monkeypatch) -> None:
    now = 100.0
    monkeypatch.setattr(narrow, "monotonic", lambda: now)
    assert [is_few(engine, "a") for _ in range(3)] == [False, False, None]
    remember(engine, "a", few=True)
    assert [is_few(engine, "a") for _ in range(3)] == [True, True, True]
    now += 61
    assert is_few(engine, "a") is None
    remember(engine, "a", few=False)
    assert is_few(engine, "a") is False


def test_filters_are_those_of_a_pool(engine) -> None:
    remember(engine, "a", few=True)
    assert is_few(engine.execution_options(isolation_level="AUTOCOMMIT"), "a") is True
    assert is_few(engine, "b") is False
    assert is_few(create_engine("postgresql+psycopg://"), "a") is False


def test_no_more_than_so_many_filters_are_kept(engine, monkeypatch) -> None:
    monkeypatch.setattr(narrow, "_KEPT", 2)
    remember(engine, "a", few=True)
    remember(engine, "b", few=True)
    assert (is_few(engine, "b"), is_few(engine, "c"), is_few(engine, "a")) == (True, False, False)
