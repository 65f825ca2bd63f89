from __future__ import annotations

from sqlalchemy import create_engine

from rowspace.repositories import tunings

TABLE = ("articles", None)


def test_what_is_known_is_shared_by_the_engines_of_a_pool_and_ends_after_a_minute(monkeypatch) -> None:
    now = 100.0
    monkeypatch.setattr(tunings, "monotonic", lambda: now)
    engine, other = create_engine("postgresql+psycopg://"), create_engine("postgresql+psycopg://")
    assert tunings.known(engine, TABLE) is None
    tunings.remember(engine, TABLE, {})
    assert tunings.known(engine.execution_options(isolation_level="AUTOCOMMIT"), TABLE) == {}
    assert tunings.known(engine, ("articles", "other")) is None
    assert tunings.known(other, TABLE) is None
    tunings.forget(other, TABLE)
    now += 61
    assert tunings.known(engine, TABLE) is None


def test_what_is_forgotten_is_asked_for_again() -> None:
    engine = create_engine("postgresql+psycopg://")
    tunings.remember(engine, TABLE, {})
    tunings.forget(engine, TABLE)
    assert tunings.known(engine, TABLE) is None


def test_no_more_tables_than_so_many_are_kept(monkeypatch) -> None:
    monkeypatch.setattr(tunings, "_KEPT", 2)
    engine = create_engine("postgresql+psycopg://")
    tables = [("articles", schema) for schema in "abc"]
    for table in tables[:2]:
        tunings.remember(engine, table, {})
    assert [tunings.known(engine, table) for table in tables] == [{}, {}, None]
    tunings.remember(engine, tables[2], {})
    assert [tunings.known(engine, table) for table in tables] == [None, None, {}]
