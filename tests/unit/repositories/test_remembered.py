from __future__ import annotations

import pytest
from sqlalchemy import create_engine

from rowspace.repositories import remembered
from rowspace.repositories.remembered import TUNINGS, WIDE, Remembered


@pytest.fixture
def engine():
    return create_engine("postgresql+psycopg://")


@pytest.mark.parametrize(("known", "seconds"), [(TUNINGS, 60), (WIDE, 3_600)])
def test_tunings_are_known_for_a_minute_and_what_was_wide_for_an_hour(engine, monkeypatch, known, seconds) -> None:
    now = 100.0
    monkeypatch.setattr(remembered, "monotonic", lambda: now)
    assert known.get(engine, "a") is None
    known.keep(engine, "a", {})
    assert (known.get(engine, "a"), known.get(engine, "b")) == ({}, None)
    now += seconds - 1
    assert known.get(engine, "a") == {}
    now += 2
    assert known.get(engine, "a") is None


def test_it_is_known_of_a_pool_whichever_engine_has_it(engine) -> None:
    known, other = Remembered(60.0), create_engine("postgresql+psycopg://")
    known.keep(engine, "a", 1)
    assert known.get(engine.execution_options(isolation_level="AUTOCOMMIT"), "a") == 1
    assert known.get(other, "a") is None
    known.forget(other, "a")
    assert known.get(engine, "a") == 1


def test_what_is_forgotten_is_asked_for_again(engine) -> None:
    known = Remembered(60.0)
    known.keep(engine, "a", 1)
    known.forget(engine, "a")
    assert known.get(engine, "a") is None


def test_no_more_than_so_much_is_kept(engine, monkeypatch) -> None:
    monkeypatch.setattr(remembered, "_KEPT", 2)
    known = Remembered(60.0)
    for name in "abc":
        known.keep(engine, name, name)
    assert [known.get(engine, name) for name in "abc"] == [None, None, "c"]
