"""Rowspace's own migrations on a real server, by the `alembic` command and from Python."""

import asyncio
import io
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import NullPool, create_engine, insert, make_url, select, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

from rowspace.errors import PermissionDenied
from rowspace.migrations import VERSION_TABLE, at_head, current, downgrade, head, upgrade
from rowspace.models import Base, Collection, Document

TOP = Path(__file__).parents[2]

# Everything about the tables of a schema that a migration decides.
SNAPSHOT = """
    SELECT c.relname::text, c.relkind::text, coalesce(pg_get_partkeydef(c.oid), ''),
           array(SELECT concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
                                  pg_get_expr(d.adbin, d.adrelid))
                   FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
                  WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY a.attnum),
           array(SELECT concat_ws(' ', conname, pg_get_constraintdef(oid))
                   FROM pg_constraint WHERE conrelid = c.oid ORDER BY conname),
           array(SELECT replace(pg_get_indexdef(indexrelid), n.nspname || '.', '')
                   FROM pg_index WHERE indrelid = c.oid ORDER BY indexrelid::regclass::text)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = :schema AND c.relkind IN ('r', 'p') ORDER BY c.relname
"""

PARTITION = """
    CREATE TABLE documents_1 (LIKE documents INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
                              CHECK (vector_dims(embedding) = 3));
    ALTER TABLE documents ATTACH PARTITION documents_1 FOR VALUES IN (1);
    CREATE INDEX documents_1_embedding ON documents_1 USING hnsw ((embedding::vector(3)) vector_cosine_ops);
    CREATE INDEX documents_1_metadata ON documents_1 USING gin (metadata jsonb_path_ops)
"""


def snapshot(engine, schema="public"):
    with engine.connect() as connection:
        return {row[0]: tuple(row) for row in connection.execute(text(SNAPSHOT), {"schema": schema})}


def tables(engine, schema="public"):
    return set(snapshot(engine, schema))


def run(engine, statements):
    with engine.begin() as connection:
        for statement in statements.split(";"):
            connection.execute(text(statement))


def url_of(engine, **changes):
    return engine.url.set(**changes).render_as_string(hide_password=False)


def alembic(engine, *arguments, cwd=TOP, **environment):
    """Run the real command from the top level; `engine` None gives it no URL."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ROWSPACE_")}
    given = {} if engine is None else {"ROWSPACE_DATABASE_URL": url_of(engine)}
    command = [sys.executable, "-m", "alembic", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=inherited | given | environment, capture_output=True, text=True, check=False
    )


def succeed(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def fail(done):
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def new_engine(engine_url):
    """A function that makes an empty database and returns an engine on it."""
    made = []
    admin = create_engine(engine_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")

    def make(**options):
        name = f"migrations_{uuid4().hex[:12]}"
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        made.append(name)
        return create_engine(make_url(engine_url).set(database=name), poolclass=NullPool, **options)

    yield make
    with admin.connect() as connection:
        for name in made:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def engine(new_engine):
    return new_engine()


@pytest.fixture
def role(engine):
    """The name of a role that may log in and create tables, but is no superuser and owns nothing."""
    name = f"role_{uuid4().hex[:12]}"
    run(engine, f"CREATE ROLE {name} LOGIN PASSWORD 's3cret'; GRANT CREATE ON SCHEMA public TO {name}")
    yield name
    run(engine, f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_up_down_and_up_again_by_the_command(engine):
    succeed(alembic(engine, "upgrade", "head"))
    run(engine, PARTITION)
    assert tables(engine) == {"collections", "documents", "documents_1", VERSION_TABLE}
    succeed(alembic(engine, "downgrade", "base"))
    assert tables(engine) == {VERSION_TABLE}
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM pg_extension WHERE extname = 'vector'")) == 1
    succeed(alembic(engine, "upgrade", "head"))
    assert tables(engine) == {"collections", "documents", VERSION_TABLE}
    assert "0001 (head)" in succeed(alembic(engine, "current"))


def test_up_down_and_up_again_from_python(engine):
    assert (current(engine), at_head(engine)) == (None, False)
    upgrade(engine)
    assert (current(engine), at_head(engine)) == (head(), True)
    downgrade(engine, "base")
    assert current(engine) is None
    upgrade(engine, "0001")
    upgrade(engine)
    assert at_head(engine)


def test_the_migrations_make_what_the_models_declare(engine, new_engine):
    upgrade(engine)
    by_models = new_engine()
    run(by_models, "CREATE EXTENSION vector")
    wanted = [Collection.__table__, Document.__table__]
    Base.metadata.create_all(by_models, tables=wanted)
    migrated = snapshot(engine)
    del migrated[VERSION_TABLE]
    assert migrated == snapshot(by_models)


def test_offline_sql_makes_the_same_and_undoes_it(engine, new_engine):
    upgrade(engine)
    by_sql = new_engine()
    for arguments in (["upgrade", "head"], ["downgrade", "0001:base"]):
        script = succeed(alembic(None, *arguments, "--sql"))
        with psycopg.connect(url_of(by_sql, drivername="postgresql"), autocommit=True) as connection:
            connection.execute(script)
        if arguments[0] == "upgrade":
            assert snapshot(by_sql) == snapshot(engine)
            assert at_head(by_sql)
    assert tables(by_sql) == {VERSION_TABLE}
    assert current(by_sql) is None


def test_offline_sql_for_a_schema(engine):
    stream = io.StringIO()
    upgrade(None, schema="Rag data", sql=True, stream=stream)
    assert stream.getvalue() == succeed(alembic(None, "-x", "schema=Rag data", "upgrade", "head", "--sql"))
    with psycopg.connect(url_of(engine, drivername="postgresql"), autocommit=True) as connection:
        connection.execute(stream.getvalue())
    assert at_head(engine, schema="Rag data")
    assert tables(engine, "Rag data") == {"collections", "documents", VERSION_TABLE}


def test_parallel_upgrades_by_processes(engine):
    command = [sys.executable, "-m", "alembic", "upgrade", "head"]
    environment = os.environ | {"ROWSPACE_DATABASE_URL": url_of(engine)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    started = [subprocess.Popen(command, cwd=TOP, env=environment, **pipes) for _ in range(4)]
    output = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0] * 4, output
    assert sum("Running upgrade" in text for text in output) == 1
    assert at_head(engine)


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "AUTOCOMMIT"])
def test_parallel_upgrades_by_threads(new_engine, isolation):
    engine = new_engine(isolation_level=isolation)
    errors = []

    def work(start):
        try:
            start.wait()
            upgrade(engine)
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    start = threading.Barrier(4)
    threads = [threading.Thread(target=work, args=(start,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert at_head(engine)


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_parallel_upgrades_by_tasks_of_one_event_loop(engine, driver):
    target = create_async_engine(engine.url.set(drivername=f"postgresql+{driver}"), poolclass=NullPool)

    async def work():
        async with target.connect() as connection:
            await connection.run_sync(upgrade)

    async with asyncio.timeout(30):
        await asyncio.gather(*(work() for _ in range(4)))
    async with target.connect() as connection:
        assert await connection.run_sync(at_head)


def test_an_upgrade_waits_for_the_one_before_it(engine):
    upgraded = threading.Event()
    with engine.begin() as first:
        upgrade(first)
        thread = threading.Thread(target=lambda: (upgrade(engine), upgraded.set()))
        thread.start()
        assert not upgraded.wait(0.3)
    assert upgraded.wait(10)
    thread.join()


def test_a_transaction_of_the_caller_stays_the_callers(engine):
    with engine.connect() as connection:
        transaction = connection.begin()
        upgrade(connection)
        assert at_head(connection)
        transaction.rollback()
    assert current(engine) is None
    with engine.connect() as connection:
        assert not at_head(connection)
        upgrade(connection)
    assert at_head(engine)


def test_an_applications_own_history_is_not_touched(engine):
    run(engine, "CREATE TABLE alembic_version (version_num varchar(32)); INSERT INTO alembic_version VALUES ('beef')")
    upgrade(engine)
    downgrade(engine, "base")
    upgrade(engine)
    with engine.connect() as connection:
        assert connection.scalars(text("SELECT version_num FROM alembic_version")).all() == ["beef"]
        assert connection.scalars(text(f"SELECT version_num FROM {VERSION_TABLE}")).all() == ["0001"]


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["-x", "schema=rag"], {}),
        ([], {"ROWSPACE_SCHEMA": "rag"}),
        (["-x", "schema=rag"], {"ROWSPACE_SCHEMA": "other"}),
    ],
)
def test_a_schema_by_the_command(engine, arguments, environment):
    succeed(alembic(engine, *arguments, "upgrade", "head", **environment))
    assert tables(engine, "rag") == {"collections", "documents", VERSION_TABLE}
    assert tables(engine) == tables(engine, "other") == set()
    run(engine, "SET search_path TO rag, public;" + PARTITION)
    succeed(alembic(engine, *arguments, "check", **environment))
    run(engine, "ALTER TABLE rag.collections DROP COLUMN embedder")
    assert "add_column" in fail(alembic(engine, *arguments, "check", **environment))
    succeed(alembic(engine, *arguments, "downgrade", "base", **environment))
    assert tables(engine, "rag") == {VERSION_TABLE}


def test_a_schema_named_public_is_the_default_one(engine):
    succeed(alembic(engine, "-x", "schema=public", "upgrade", "head"))
    assert tables(engine) == {"collections", "documents", VERSION_TABLE}
    succeed(alembic(engine, "-x", "schema=public", "check"))
    assert at_head(engine)


def test_models_reach_the_schema_by_the_translate_map(engine):
    upgrade(engine, schema="rag")
    translated = engine.execution_options(schema_translate_map={None: "rag"})
    assert at_head(translated)
    assert not at_head(engine)
    with Session(translated) as session:
        session.add(Collection(name="notes", dimension=3))
        session.commit()
        assert session.scalar(select(Collection.distance)) == "cosine"
    downgrade(translated, "base")
    assert tables(engine, "rag") == {VERSION_TABLE}


def test_no_drift_with_collections_and_tables_of_others(engine):
    succeed(alembic(engine, "upgrade", "head"))
    run(engine, PARTITION)
    run(
        engine,
        "CREATE TABLE orders (id int PRIMARY KEY, embedding vector(3)); CREATE TABLE documents_of_others (x int)",
    )
    assert "No new upgrade operations" in succeed(alembic(engine, "check"))


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("ALTER TABLE collections ALTER COLUMN language DROP NOT NULL", "modify_nullable"),
        ("ALTER TABLE collections ALTER COLUMN distance SET DEFAULT 'l2'", "modify_default"),
        ("ALTER TABLE documents ALTER COLUMN embedding TYPE vector(3)", "modify_type"),
        ("ALTER TABLE documents DROP COLUMN updated_at", "add_column"),
        ("CREATE INDEX drift ON documents (content)", "remove_index"),
        ("DROP TABLE documents", "add_table"),
    ],
)
def test_drift_in_the_database_is_noticed(engine, statement, found):
    upgrade(engine)
    run(engine, statement)
    assert found in fail(alembic(engine, "check"))


def test_a_changed_model_is_noticed(engine):
    upgrade(engine)
    program = """
from alembic.config import main
from sqlalchemy import Column, Text
from rowspace.models import Collection
Collection.__table__.append_column(Column("owner", Text))
main(["check"])
"""
    environment = os.environ | {"ROWSPACE_DATABASE_URL": url_of(engine)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=TOP, env=environment, capture_output=True, text=True, check=False)
    assert "('add_column', None, 'collections', Column('owner'" in fail(done)


def test_a_generated_revision_is_empty_and_runs(engine, tmp_path):
    shutil.copy(TOP / "alembic.ini", tmp_path)
    shutil.copytree(TOP / "alembic", tmp_path / "alembic")
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    succeed(alembic(engine, "upgrade", "head", cwd=tmp_path, **path))
    succeed(alembic(engine, "revision", "--autogenerate", "--rev-id", "0002", "-m", "Nothing", cwd=tmp_path, **path))
    lines = (tmp_path / "alembic" / "versions" / "0002_nothing.py").read_text().splitlines()
    assert [line.strip() for line in lines].count("pass") == 2
    assert not any("op.create" in line or "op.drop" in line for line in lines)
    succeed(alembic(engine, "upgrade", "head", cwd=tmp_path, **path))
    assert current(engine) == "0002"


def test_a_role_that_may_not_create_the_extension_is_told_who_must(engine, role):
    theirs = create_engine(engine.url.set(username=role, password="s3cret"), poolclass=NullPool)
    with pytest.raises(PermissionDenied, match="administrator must run it once in this database: CREATE EXTENSION"):
        upgrade(theirs)
    said = fail(alembic(theirs, "upgrade", "head"))
    assert "FAILED: This role may not create the extension 'vector'" in said
    assert "s3cret" not in said
    assert tables(engine) == set()
    run(engine, "CREATE EXTENSION vector")
    upgrade(theirs)
    assert at_head(theirs)


def test_a_role_may_use_a_schema_that_it_could_not_have_created(engine, role):
    run(engine, f"CREATE EXTENSION vector; CREATE SCHEMA rag AUTHORIZATION {role}")
    theirs = create_engine(engine.url.set(username=role, password="s3cret"), poolclass=NullPool)
    upgrade(theirs, schema="rag")
    assert at_head(theirs, schema="rag")
    with pytest.raises(PermissionDenied, match="permission denied for database"):
        upgrade(theirs, schema="another")


def test_a_role_of_run_time_needs_to_read_the_version_alone(engine, role):
    upgrade(engine)
    run(engine, f"GRANT SELECT ON {VERSION_TABLE} TO {role}; REVOKE CREATE ON SCHEMA public FROM {role}")
    theirs = create_engine(engine.url.set(username=role, password="s3cret"), poolclass=NullPool)
    assert at_head(theirs)


@pytest.mark.parametrize("arguments", [["upgrade", "head"], ["current"], ["check"]])
def test_without_a_url_the_command_names_the_ways_to_give_one(arguments):
    said = fail(alembic(None, *arguments))
    for way in ("-x url=", "ROWSPACE_DATABASE_URL", "sqlalchemy.url", "alembic.ini"):
        assert way in said


def test_a_url_may_be_an_argument_or_in_the_file(engine, tmp_path):
    other = url_of(engine, database="missing", username="ada", password="s3cret")
    url = url_of(engine, drivername="postgresql+asyncpg")
    succeed(alembic(None, "-x", f"url={url}", "upgrade", "head", ROWSPACE_DATABASE_URL=other))
    configuration = (TOP / "alembic.ini").read_text().replace("%(here)s", str(TOP))
    written = configuration.replace("sqlalchemy.url =", "sqlalchemy.url = " + url.replace("%", "%%"))
    (tmp_path / "alembic.ini").write_text(written)
    assert "0001 (head)" in succeed(alembic(None, "-c", str(tmp_path / "alembic.ini"), "current"))
    said = fail(alembic(None, "current", ROWSPACE_DATABASE_URL=other))
    assert "Check that the server runs" in said
    assert "s3cret" not in said


def test_what_was_migrated_takes_documents(engine):
    upgrade(engine)
    run(engine, PARTITION)
    row = {"collection_id": 1, "id": "a", "content": "text", "embedding": [1.0, 2.0, 3.0]}
    with engine.begin() as connection:
        connection.execute(insert(Document), [row])
        assert connection.execute(select(Document.embedding)).scalar_one().tolist() == [1.0, 2.0, 3.0]
