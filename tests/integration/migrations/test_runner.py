"""The same migrations from Python, on engines and connections, sync and async."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import NullPool, insert, select, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

from rowspace import CollectionRepository, Database, DocumentRepository, ReembedRepository
from rowspace.errors import ConfigurationError, PermissionDenied, SchemaNotReady
from rowspace.migrations import VERSION_TABLE, at_head, current, downgrade, head, upgrade
from rowspace.models import Base, Collection, Document, LoadProgress

MIGRATED = {"collections", "collection_loads", "documents", VERSION_TABLE}


def test_up_down_and_up_again(scratch):
    engine = scratch.engine
    assert (current(engine), at_head(engine)) == (None, False)
    upgrade(engine)
    assert (current(engine), at_head(engine)) == (head(), True)
    downgrade(engine, "base")
    assert current(engine) is None
    upgrade(engine, "0001")
    upgrade(engine)
    assert at_head(engine)


@pytest.mark.parametrize("schema", [None, "it's %s"])
def test_a_downgrade_takes_what_an_unfinished_reembedding_has_made(scratch, schema):
    engine = scratch.engine.execution_options(schema_translate_map={None: schema})
    upgrade(engine)
    with Database(engine).begin() as session:
        collection = CollectionRepository(session).create("a", 2)
        table = collection.partition
    with Database(engine).begin() as session:
        ReembedRepository(session, CollectionRepository(session).get("a")).begin("new", 3, None)
    downgrade(engine, "0001")
    with engine.connect() as connection:
        found = connection.scalars(text("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE :name"),
                                   {"name": f"{table}%"})  # fmt: skip
        assert found.all() == [table]
    upgrade(engine)
    with Database(engine).begin() as session:
        ReembedRepository(session, CollectionRepository(session).get("a")).begin("new", 3, None)


@pytest.mark.parametrize("schema", [None, "it's %s"])
def test_a_downgrade_takes_the_indexes_of_keys(scratch, schema):
    engine = scratch.engine.execution_options(schema_translate_map={None: schema})
    upgrade(engine)
    with Database(engine).begin() as session:
        collection = CollectionRepository(session).create("a", 2, indexed_keys=["it's %"])
        DocumentRepository(session, collection).create_indexes()
    scratch.run("CREATE TABLE others (a int); CREATE INDEX ix_documents_1_key_a ON others (a)")
    found = text("SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'ix_documents%key%'")
    for revision, count in (("head", 2), ("0002", 1)):
        downgrade(engine, revision) if revision != "head" else None
        with engine.connect() as connection:
            assert connection.scalar(found) == count
    upgrade(engine)
    with Database(engine).begin() as session:
        assert CollectionRepository(session).get("a").indexed_keys == []


@pytest.mark.parametrize(("before", "after", "then"), [
    ("head", "0002", "documents"),
    ("0002", "0001", "collection_loads"),
    ("head", "base", "documents"),
    ("0001", "base", "documents"),
])  # fmt: skip
def test_a_downgrade_lets_who_has_read_a_collection_go_on(scratch, wait_for_lock, before, after, then):
    upgrade(scratch.engine, before)
    with ThreadPoolExecutor(1) as pool, scratch.engine.begin() as connection:
        connection.execute(text("SELECT 1 FROM collections"))
        downgrading = pool.submit(downgrade, scratch.engine, after)
        wait_for_lock(scratch.engine, downgrading)
        connection.execute(text(f"SELECT 1 FROM {then}"))
    downgrading.result()
    assert current(scratch.engine) == (None if after == "base" else after)


@pytest.mark.parametrize("run", [upgrade, lambda engine: downgrade(engine, "base")])
def test_a_database_of_a_newer_version_is_left_to_it(scratch, run):
    upgrade(scratch.engine)
    scratch.run(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="at revision '9999', which this version of Rowspace does not know"):
        run(scratch.engine)
    assert current(scratch.engine) == "9999"


def test_what_an_older_database_lacks_is_a_matter_of_migrations(scratch):
    upgrade(scratch.engine, "0001")
    with Database(scratch.engine).begin() as session, pytest.raises(SchemaNotReady, match="rowspace db upgrade"):
        CollectionRepository(session).list()
    with Database(scratch.engine).begin() as session, pytest.raises(SchemaNotReady, match="rowspace db upgrade"):
        CollectionRepository(session).create("a", 2)


def test_the_migrations_make_what_the_models_declare(scratch, new_scratch):
    upgrade(scratch.engine)
    by_models = new_scratch()
    by_models.run("CREATE EXTENSION vector")
    Base.metadata.create_all(by_models.engine, tables=[one.__table__ for one in (Collection, Document, LoadProgress)])
    migrated = scratch.snapshot()
    del migrated[VERSION_TABLE]
    assert migrated == by_models.snapshot()


def test_what_was_migrated_takes_documents(scratch):
    upgrade(scratch.engine)
    scratch.add_collection()
    row = {"collection_id": 1, "id": "a", "content": "text", "embedding": [1.0, 2.0, 3.0]}
    with scratch.engine.begin() as connection:
        connection.execute(insert(Document), [row])
        assert connection.execute(select(Document.embedding)).scalar_one().tolist() == [1.0, 2.0, 3.0]


def test_offline_sql_for_a_schema(scratch, tmp_path):
    script = tmp_path / "upgrade.sql"
    with script.open("w") as stream:
        upgrade(None, schema="Rag data", sql=True, stream=stream)
    with psycopg.connect(scratch.url(drivername="postgresql"), autocommit=True) as connection:
        connection.execute(script.read_text())
    assert at_head(scratch.engine, schema="Rag data")
    assert scratch.tables("Rag data") == MIGRATED


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "AUTOCOMMIT"])
def test_parallel_upgrades_by_threads(new_scratch, isolation):
    engine = new_scratch(isolation_level=isolation).engine
    start = threading.Barrier(4)
    errors = []

    def work():
        try:
            start.wait()
            upgrade(engine)
        except Exception as error:  # noqa: BLE001 -- whatever a thread raises is the test's failure
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert at_head(engine)


def test_parallel_upgrades_of_several_databases_by_threads(new_scratch):
    engines = [new_scratch().engine for _ in range(3)]
    threads = [threading.Thread(target=upgrade, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [at_head(engine) for engine in engines] == [True] * 3


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_parallel_upgrades_by_tasks_of_one_event_loop(scratch, driver):
    target = create_async_engine(scratch.engine.url.set(drivername=f"postgresql+{driver}"), poolclass=NullPool)

    async def work():
        async with target.connect() as connection:
            await connection.run_sync(upgrade)

    async with asyncio.timeout(30):
        await asyncio.gather(*(work() for _ in range(4)))
    async with target.connect() as connection:
        assert await connection.run_sync(at_head)


def test_an_upgrade_waits_for_the_one_before_it(scratch):
    upgraded = threading.Event()
    with scratch.engine.begin() as first:
        upgrade(first)
        thread = threading.Thread(target=lambda: (upgrade(scratch.engine), upgraded.set()))
        thread.start()
        assert not upgraded.wait(0.3)
    assert upgraded.wait(10)
    thread.join()


def test_a_transaction_of_the_caller_stays_the_callers(scratch):
    with scratch.engine.connect() as connection:
        transaction = connection.begin()
        upgrade(connection)
        assert at_head(connection)
        transaction.rollback()
    assert current(scratch.engine) is None
    with scratch.engine.connect() as connection:
        assert not at_head(connection)
        upgrade(connection)
    assert at_head(scratch.engine)


def test_an_applications_own_history_is_not_touched(scratch):
    scratch.run("CREATE TABLE alembic_version (version_num varchar(32)); INSERT INTO alembic_version VALUES ('beef')")
    upgrade(scratch.engine)
    downgrade(scratch.engine, "base")
    upgrade(scratch.engine)
    assert scratch.scalars("SELECT version_num FROM alembic_version") == ["beef"]
    assert current(scratch.engine) == "0003"


APPLICATION_ENV = """
from alembic import context
from rowspace.migrations import upgrade

engine = context.config.attributes["engine"]
upgrade(engine, "0001")
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
APPLICATION_REVISION = """
import pytest
from alembic import op
from sqlalchemy import Column, Integer
from rowspace import migrations
from rowspace.errors import ConfigurationError

revision, down_revision = "one", None


def upgrade():
    op.create_table("before", Column("id", Integer))
    migrations.upgrade(op.get_bind())
    with pytest.raises(ConfigurationError, match="nope"):
        migrations.upgrade(op.get_bind(), "nope")
    op.create_table("after", Column("id", Integer))
"""


def test_an_application_may_upgrade_from_its_own_environment_and_migration(scratch, tmp_path):
    (tmp_path / "versions").mkdir()
    (tmp_path / "env.py").write_text(APPLICATION_ENV)
    (tmp_path / "versions" / "one.py").write_text(APPLICATION_REVISION)
    config = Config(attributes={"engine": scratch.engine})
    config.set_main_option("script_location", str(tmp_path).replace("%", "%%"))
    command.upgrade(config, "head")
    assert at_head(scratch.engine)
    assert scratch.tables() == {"alembic_version", "before", "after", *MIGRATED}


def test_models_reach_a_schema_by_the_translate_map(scratch):
    upgrade(scratch.engine, schema="rag")
    translated = scratch.engine.execution_options(schema_translate_map={None: "rag"})
    assert at_head(translated)
    assert not at_head(scratch.engine)
    with Session(translated) as session:
        session.add(Collection(name="notes", dimension=3))
        session.commit()
        assert session.scalar(select(Collection.distance)) == "cosine"
    downgrade(translated, "base")
    assert scratch.tables("rag") == {VERSION_TABLE}
    assert scratch.tables() == set()


def test_a_role_may_use_a_schema_that_it_could_not_have_created(scratch, role):
    scratch.run(f"CREATE EXTENSION vector; CREATE SCHEMA rag AUTHORIZATION {role}")
    engine = scratch.login(role).engine
    upgrade(engine, schema="rag")
    assert at_head(engine, schema="rag")
    with pytest.raises(PermissionDenied, match="permission denied for database"):
        upgrade(engine, schema="another")


def test_a_role_without_the_right_to_the_extension(scratch, role):
    with pytest.raises(PermissionDenied, match="administrator run CREATE EXTENSION"):
        upgrade(scratch.login(role).engine)


def test_a_server_without_pgvector_is_said_to_lack_it(scratch, monkeypatch):
    monkeypatch.setattr("rowspace.migrations.operations._quoted", lambda operations, name: "no_such_extension")
    with pytest.raises(SchemaNotReady, match="'vector' is not installed on the database server"):
        upgrade(scratch.engine)


def test_an_older_server_is_refused(scratch, monkeypatch):
    with scratch.engine.connect() as connection:
        has = connection.dialect.server_version_info[0]
    monkeypatch.setattr("rowspace.diagnosis._POSTGRESQL", has + 1)
    refused = rf"^The server is PostgreSQL {has}\. Rowspace needs {has + 1}: .* Then migrate again\.$"
    with pytest.raises(SchemaNotReady, match=refused):
        upgrade(scratch.engine)
    assert scratch.tables() == set()
    monkeypatch.setattr("rowspace.diagnosis._POSTGRESQL", has)
    upgrade(scratch.engine)
    assert at_head(scratch.engine)


def test_a_pgvector_without_iterative_scans_is_refused(scratch):
    scratch.run("CREATE EXTENSION vector; UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'")
    with pytest.raises(SchemaNotReady, match=r"pgvector is 0\.7\.4\..* Install pgvector 0\.8 or newer"):
        upgrade(scratch.engine)
    assert scratch.tables() == set()
    scratch.run("UPDATE pg_extension SET extversion = '0.8.0' WHERE extname = 'vector'")
    upgrade(scratch.engine)
    assert at_head(scratch.engine)


def test_a_role_of_run_time_needs_to_read_the_version_alone(scratch, role):
    upgrade(scratch.engine)
    scratch.run(f"REVOKE CREATE ON SCHEMA public FROM {role}")
    scratch.run(f"GRANT SELECT ON TABLE rowspace_alembic_version TO {role}")
    assert at_head(scratch.login(role).engine)
