"""The `alembic` command at the top level, as a deployment runs it."""

import os
import shutil
import sys

import psycopg
import pytest
from sqlalchemy import text

from rowspace.migrations import VERSION_TABLE, at_head, current, upgrade

MIGRATED = {"collections", "collection_loads", "documents", VERSION_TABLE}


def test_up_down_and_up_again(alembic, scratch):
    alembic.succeeds("upgrade", "head", scratch=scratch)
    scratch.add_collection()
    assert scratch.tables() == MIGRATED | {"documents_1"}
    alembic.succeeds("downgrade", "base", scratch=scratch)
    assert scratch.tables() == {VERSION_TABLE}
    assert scratch.scalars("SELECT extname::text FROM pg_extension WHERE extname = 'vector'") == ["vector"]
    alembic.succeeds("upgrade", "head", scratch=scratch)
    assert scratch.tables() == MIGRATED
    assert "0003 (head)" in alembic.succeeds("current", scratch=scratch)


def test_offline_sql_makes_the_same_and_undoes_it(alembic, scratch, new_scratch):
    upgrade(scratch.engine)
    by_sql = new_scratch()
    with psycopg.connect(by_sql.url(drivername="postgresql"), autocommit=True) as connection:
        connection.execute(alembic.succeeds("upgrade", "head", "--sql"))
        assert by_sql.snapshot() == scratch.snapshot()
        assert at_head(by_sql.engine)
        connection.execute(alembic.succeeds("downgrade", "0003:base", "--sql"))
    # Alembic 1.18 drops its empty version table here, 1.20 keeps it.
    assert by_sql.tables() <= {VERSION_TABLE}
    assert current(by_sql.engine) is None


def test_parallel_upgrades(alembic, scratch):
    started = [alembic.start(["upgrade", "head"], scratch=scratch) for _ in range(4)]
    output = ["".join(process.communicate()) for process in started]
    assert [process.returncode for process in started] == [0] * 4, output
    assert sum("Running upgrade" in said for said in output) == 1
    assert at_head(scratch.engine)


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [(["-x", "schema=rag"], {"ROWSPACE_SCHEMA": "other"}), ([], {"ROWSPACE_SCHEMA": "rag"})],
)
def test_a_schema_of_its_own(alembic, scratch, arguments, environment):
    alembic.succeeds(*arguments, "upgrade", "head", scratch=scratch, **environment)
    assert scratch.tables("rag") == MIGRATED
    assert scratch.tables() == scratch.tables("other") == set()
    scratch.run("ALTER TABLE rag.collections DROP COLUMN embedder")
    said = alembic.fails(*arguments, "check", scratch=scratch, **environment)
    assert "[('add_column', 'rag', 'collections', Column('embedder', Text(), table=<collections>))]" in said


def test_a_schema_named_public_is_the_default_one(alembic, scratch):
    upgrade(scratch.engine, schema="public")
    assert scratch.tables() == MIGRATED
    alembic.succeeds("-x", "schema=public", "check", scratch=scratch)
    assert at_head(scratch.engine)


@pytest.mark.parametrize("schema", ["public", "rag"])
def test_no_drift_with_collections_and_tables_of_others(alembic, scratch, schema):
    for one in (schema, "another"):
        upgrade(scratch.engine, schema=one)
    scratch.add_collection(schema)
    scratch.run(f"CREATE TABLE {schema}.orders (id int PRIMARY KEY, embedding vector(3))")
    scratch.run(f"CREATE TABLE {schema}.documents_of_others (x int); CREATE TABLE public.others (x int)")
    assert "documents_1" in scratch.tables(schema)
    assert "No new upgrade operations" in alembic.succeeds("-x", f"schema={schema}", "check", scratch=scratch)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("ALTER TABLE collections ALTER COLUMN language DROP NOT NULL", "modify_nullable"),
        ("ALTER TABLE collections ALTER COLUMN distance SET DEFAULT 'l2'", "modify_default"),
        ("ALTER TABLE documents ALTER COLUMN embedding TYPE vector(3)", "modify_type"),
        ("CREATE INDEX drift ON documents (content)", "remove_index"),
        ("DROP TABLE documents", "add_table"),
    ],
)
def test_drift_in_the_database_is_noticed(alembic, scratch, statement, found):
    upgrade(scratch.engine)
    scratch.run(statement)
    assert found in alembic.fails("check", scratch=scratch)


def test_a_changed_model_is_noticed(alembic, scratch):
    upgrade(scratch.engine)
    program = """
from alembic.config import main
from sqlalchemy import Column, Text
from rowspace.models import Collection
Collection.__table__.append_column(Column("owner", Text))
main(["check"])
"""
    path = os.pathsep.join(sys.path)
    said = alembic.fails(program, scratch=scratch, program=["-c"], PYTHONPATH=path)
    assert "('add_column', None, 'collections', Column('owner'" in said


def test_a_generated_revision_is_empty_and_runs(alembic, scratch, tmp_path):
    upgrade(scratch.engine)
    shutil.copy(alembic.top / "alembic.ini", tmp_path)
    shutil.copytree(alembic.top / "alembic", tmp_path / "alembic")
    options = {"cwd": tmp_path, "scratch": scratch, "PYTHONPATH": os.pathsep.join(sys.path)}
    alembic.succeeds("revision", "--autogenerate", "--rev-id", "0004", "-m", "Nothing", **options)
    lines = (tmp_path / "alembic" / "versions" / "0004_nothing.py").read_text().splitlines()
    assert [line.strip() for line in lines].count("pass") == 2
    assert not any("op.create" in line or "op.drop" in line for line in lines)
    alembic.succeeds("upgrade", "head", **options)
    assert current(scratch.engine) == "0004"


def test_a_role_that_may_not_create_the_extension_is_told_who_must(alembic, scratch, role):
    said = alembic.fails("upgrade", "head", scratch=scratch.login(role))
    assert "FAILED: This role may not create the extension 'vector'" in said
    assert "administrator run CREATE EXTENSION vector; once in this database" in said
    assert "s3cret" not in said
    assert scratch.tables() == set()
    scratch.run("CREATE EXTENSION vector")
    alembic.succeeds("upgrade", "head", scratch=scratch.login(role))
    assert at_head(scratch.engine)


def test_a_table_of_that_name_is_said_to_need_another_schema(alembic, scratch):
    scratch.run("CREATE TABLE documents (id int)")
    said = alembic.fails("upgrade", "head", scratch=scratch)
    assert 'relation "documents" already exists, and these migrations did not create it. Put Rowspace\'s tables' in said
    assert scratch.tables() == {"documents"}
    alembic.succeeds("-x", "schema=rag", "upgrade", "head", scratch=scratch)


def test_a_lock_that_is_not_got_in_time_is_said_in_a_few_lines(alembic, scratch):
    alembic.succeeds("upgrade", "head", scratch=scratch)
    impatient = f"url={scratch.url(query={**scratch.engine.url.query, 'options': '-c lock_timeout=100ms'})}"
    with scratch.engine.begin() as connection:
        connection.execute(text("LOCK TABLE collections"))
        assert "lock timeout" in alembic.fails("-x", impatient, "downgrade", "base")
    alembic.succeeds("-x", impatient, "downgrade", "base")


def test_an_extension_outside_of_the_search_path_is_said_to_be_there(alembic, scratch):
    scratch.run("CREATE SCHEMA elsewhere; CREATE EXTENSION vector SCHEMA elsewhere")
    said = alembic.fails("upgrade", "head", scratch=scratch)
    assert "add the schemas of the tables and of the extension vector to the search path of this role" in said


def test_a_search_path_without_a_schema_is_said_to_be_so(alembic, scratch):
    nowhere = f"url={scratch.url(query={**scratch.engine.url.query, 'options': '-c search_path='})}"
    said = alembic.fails("-x", nowhere, "-x", "schema=public", "upgrade", "head")
    assert "no schema has been selected to create in. No schema in the search path of this role exists." in said


@pytest.mark.parametrize("arguments", [["upgrade", "head"], ["check"]])
def test_without_a_url_the_command_names_the_ways_to_give_one(alembic, arguments):
    said = alembic.fails(*arguments)
    for way in ("-x url=", "ROWSPACE_DATABASE_URL", "sqlalchemy.url", "alembic.ini"):
        assert way in said


def test_a_url_may_be_an_argument_or_in_the_file(alembic, scratch, tmp_path):
    wrong = scratch.url(database="missing", username="ada", password="s3cret")
    url = scratch.url(drivername="postgresql+asyncpg")
    alembic.succeeds("-x", f"url={url}", "upgrade", "head", ROWSPACE_DATABASE_URL=wrong)
    configuration = (alembic.top / "alembic.ini").read_text().replace("%(here)s", str(alembic.top))
    written = tmp_path / "written.ini"
    written.write_text(configuration.replace("sqlalchemy.url =", "sqlalchemy.url = " + url.replace("%", "%%")))
    assert "0003 (head)" in alembic.succeeds("-c", str(written), "current")
    said = alembic.fails("current", ROWSPACE_DATABASE_URL=wrong)
    assert "Check that the server is running" in said
    assert "s3cret" not in said


def test_a_percent_sign_in_the_file_is_explained_without_the_password(alembic, tmp_path):
    configuration = (alembic.top / "alembic.ini").read_text().replace("%(here)s", str(alembic.top))
    written = tmp_path / "written.ini"
    url = "postgresql://ada:%s3cret@db/app"
    written.write_text(configuration.replace("sqlalchemy.url =", f"sqlalchemy.url = {url}"))
    said = alembic.fails("-c", str(written), "current")
    assert "Write it twice: %%" in said
    assert "s3cret" not in said
