import io
import threading

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from rowspace.errors import ConfigurationError
from rowspace.migrations import VERSION_TABLE, downgrade, head, runner, upgrade


def sql(run, *args, **options):
    stream = io.StringIO()
    run(None, *args, sql=True, stream=stream, **options)
    return stream.getvalue()


def test_the_head_is_a_readable_number():
    assert head() == "0003"


def test_upgrade_as_sql_takes_the_lock_before_anything_else():
    statements = [line for line in sql(upgrade).splitlines() if line]
    assert statements[:2] == ["BEGIN;", "SELECT pg_advisory_xact_lock(8245940780429042533);"]
    assert statements[-1] == "COMMIT;"


def test_upgrade_as_sql_creates_the_extension_the_tables_and_the_version():
    text = sql(upgrade)
    assert "CREATE EXTENSION IF NOT EXISTS vector;" in text
    assert "CREATE TABLE collections (" in text
    assert "PARTITION BY LIST (collection_id);" in text
    assert "INTO rowspace_alembic_version (version_num) VALUES ('0001')" in text
    assert "alembic_version" not in text.replace(VERSION_TABLE, "")


def test_every_table_is_put_into_the_schema():
    text = sql(upgrade, schema="Rag data") + sql(downgrade, "0001:base", schema="Rag data")
    assert 'CREATE SCHEMA IF NOT EXISTS "Rag data";' in text
    for table in ("collections", "documents", VERSION_TABLE):
        assert f'CREATE TABLE "Rag data".{table} (' in text
    for table in ("collections", "documents"):
        assert f'DROP TABLE "Rag data".{table};' in text


def test_downgrade_keeps_the_extension():
    text = sql(downgrade, "0001:base")
    assert "DROP TABLE documents;" in text
    assert "EXTENSION" not in text


def test_sql_goes_to_standard_output(capsys):
    upgrade(None, sql=True)
    assert "CREATE TABLE documents (" in capsys.readouterr().out


def test_an_unknown_revision_is_a_configuration_error():
    with pytest.raises(ConfigurationError, match="9999"):
        sql(upgrade, "9999")


@pytest.mark.parametrize("target", [None, "postgresql://db/app", create_async_engine("postgresql+psycopg://db/app")])
def test_only_a_synchronous_engine_or_connection_is_a_target(target):
    with pytest.raises(ConfigurationError, match="run_sync"):
        upgrade(target)


def test_a_server_that_is_not_there_is_unavailable():
    from rowspace.errors import StoreUnavailable

    engine = create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    with pytest.raises(StoreUnavailable, match="Check that the server is running"):
        upgrade(engine)


def test_scripts_are_found_in_the_wheel_and_in_a_checkout(tmp_path, monkeypatch):
    package = tmp_path / "src" / "rowspace"
    monkeypatch.setattr(runner, "__file__", str(package / "migrations" / "runner.py"))
    runner.head.cache_clear()
    with pytest.raises(ConfigurationError, match="incomplete"):
        runner.head()
    for expected in (tmp_path / "alembic", package / "_alembic"):
        expected.mkdir(parents=True)
        (expected / "env.py").touch()
        assert runner._script_location() == expected


def test_a_second_migration_in_the_same_thread_is_refused_rather_than_waited_for():
    with runner._alembic_to_itself(), pytest.raises(ConfigurationError, match="one after the other"):
        sql(upgrade)


def test_a_second_migration_in_another_thread_waits():
    results = []
    with runner._alembic_to_itself():
        thread = threading.Thread(target=lambda: results.append(sql(upgrade)))
        thread.start()
        thread.join(0.1)
        assert results == []
    thread.join(10)
    assert "COMMIT;" in results[0]
