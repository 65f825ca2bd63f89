"""What /readyz says of a database that is there and not as it should be, and of one that is at work."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import IntegrityError

from rowspace import Database, DocumentService
from rowspace.migrations import downgrade, upgrade
from rowspace.testing import HashingEmbedder


@pytest.fixture
def url(new_database):
    return new_database()


@pytest.fixture
def admin(url):
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


@pytest.fixture
def partition(url):
    with Database.open(url) as database:
        service = DocumentService(database, HashingEmbedder(8))
        service.create_collection("notes")
        service.add("notes", ["the same", "another"])
        service.add("notes", [{"id": "twice", "content": "the same"}])
    return "documents_1"


def execute(engine, statement):
    with engine.connect() as connection:
        connection.execute(text(statement))


def test_migrations_behind_head(start, url, admin, problem_of):
    server = start(database_url=url)
    transactional = create_engine(url, poolclass=NullPool)
    for revision, said in [("0001", "'0001'"), ("base", "no tables")]:
        downgrade(transactional, revision)
        problem = problem_of(server.get("/readyz"), 503)
        assert said in problem["detail"]
        assert "rowspace db upgrade" in problem["detail"]
        assert problem["checks"] == {"database": None, "migrations": problem["detail"], "indexes": None}
    upgrade(transactional)
    assert server.get("/readyz").json() == {"status": "ready"}
    execute(admin, "UPDATE rowspace_alembic_version SET version_num = 'later'")
    assert "'later'" in problem_of(server.get("/readyz"), 503)["checks"]["migrations"]


def test_an_invalid_index(start, url, admin, partition, problem_of):
    server = start(database_url=url)
    assert server.get("/readyz").status_code == 200
    with pytest.raises(IntegrityError):
        execute(admin, f"CREATE UNIQUE INDEX CONCURRENTLY ix_left ON {partition} (content)")
    answer = server.get("/readyz")
    problem = problem_of(answer, 503)
    assert "ix_left" in problem["detail"]
    assert problem["checks"] == {"database": None, "migrations": None, "indexes": problem["detail"]}
    assert answer.headers["retry-after"] == "5"
    execute(admin, "DROP INDEX ix_left")
    assert server.get("/readyz").json() == {"status": "ready"}


def test_an_invalid_index_of_somebody_else(start, url, admin):
    execute(admin, "CREATE TABLE others (v vector(2), n int); INSERT INTO others VALUES ('[1,2]', 1), ('[1,2]', 1)")
    with pytest.raises(IntegrityError):
        execute(admin, "CREATE UNIQUE INDEX CONCURRENTLY ix_others ON others (n)")
    assert start(database_url=url).get("/readyz").status_code == 200


@contextmanager
def role(admin, name, rights):
    execute(admin, f"CREATE ROLE {name} LOGIN PASSWORD 's3cret'")
    for statement in rights:
        execute(admin, f"{statement} TO {name}")
    try:
        yield admin.url.set(username=name, password="s3cret").render_as_string(hide_password=False)
    finally:
        execute(admin, f"DROP OWNED BY {name} CASCADE")
        execute(admin, f"DROP ROLE {name}")


def test_an_index_that_another_role_is_building(start, admin, partition, framework):
    """A role that is no superuser does not see what others do, and the build of a large index takes hours."""
    writer = create_engine(admin.url, poolclass=NullPool)
    building = f"SELECT count(*) FROM pg_index WHERE NOT indisvalid AND indrelid = '{partition}'::regclass"
    with role(admin, f"app_{framework}", ["GRANT SELECT ON ALL TABLES IN SCHEMA public"]) as url:
        server = start(database_url=url)
        assert server.get("/readyz").status_code == 200
        with ThreadPoolExecutor(1) as pool, writer.connect() as connection:
            # The build waits for whoever has written to the table.
            connection.execute(text(f"DELETE FROM {partition} WHERE id = 'twice'"))
            build = pool.submit(execute, admin, f"CREATE INDEX CONCURRENTLY ix_slow ON {partition} (content)")
            while not build.done() and not admin_scalar(admin, building):
                threading.Event().wait(0.01)
            answer = server.get("/readyz")
            connection.rollback()
            build.result()
    assert answer.json() == {"status": "ready"}


def admin_scalar(engine, statement):
    with engine.connect() as connection:
        return connection.scalar(text(statement))


def test_a_role_that_may_not_read(start, admin, framework, problem_of):
    with role(admin, f"nobody_{framework}", []) as url:
        problem = problem_of(start(database_url=url).get("/readyz"), 503)
    assert "may not read" in problem["checks"]["database"]


def test_a_pool_that_is_exhausted_is_no_database_that_is_away(start, url, admin, problem_of):
    server = start(database_url=url, pool_size=1, pool_timeout=0.2)
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection, ThreadPoolExecutor(1) as pool:
        connection.execute(text("LOCK TABLE rowspace_alembic_version IN ACCESS EXCLUSIVE MODE"))
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        first = pool.submit(server.get, "/readyz")
        while not first.done() and not admin_scalar(admin, waits):
            threading.Event().wait(0.01)
        problem = problem_of(server.get("/readyz"), 503)
        connection.rollback()
        assert first.result().status_code == 200
    assert problem["checks"]["database"] == "Every connection to the database is in use."
