from __future__ import annotations

import pytest
from sqlalchemy import create_engine

from rowspace.repositories import wide
from rowspace.repositories.wide import is_wide, remember


@pytest.fixture
def engine():
    return create_engine("postgresql+psycopg://")


def test_what_was_found_wide_is_so_for_an_hour(engine, monkeypatch) -> None:
    now = 100.0
    monkeypatch.setattr(wide, "monotonic", lambda: now)
    assert not is_wide(engine, "a")
    remember(engine, "a")
    assert (is_wide(engine, "a"), is_wide(engine, "b")) == (True, False)
    now += 3_601
    assert not is_wide(engine, "a")


def test_it_is_known_of_a_pool(engine) -> None:
    remember(engine, "a")
    assert is_wide(engine.execution_options(isolation_level="AUTOCOMMIT"), "a")
    assert not is_wide(create_engine("postgresql+psycopg://"), "a")


def test_no_more_than_so_much_is_kept(engine, monkeypatch) -> None:
    monkeypatch.setattr(wide, "_KEPT", 2)
    for name in "abc":
        remember(engine, name)
    assert [is_wide(engine, name) for name in "abc"] == [False, False, True]
