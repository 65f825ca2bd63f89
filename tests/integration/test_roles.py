"""An owner who makes tables, and an application that may only fill and read them, as the documentation sets them up."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text

from rowspace import CollectionRepository, Database, DocumentService, IndexBuilder, ReembedRepository
from rowspace.errors import PermissionDenied
from rowspace.migrations import downgrade, upgrade
from rowspace.testing import HashingEmbedder

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "run-a-server.md"
BLOCK = re.compile(r"```sql\n(CREATE ROLE rowspace_owner .*?)```", re.DOTALL)
TEXTS = [{"id": str(at), "content": f"word{at} text", "metadata": {"n": at}} for at in range(20)]


@pytest.fixture(scope="module")
def urls(new_module_database):
    """The URLs of the owner and of the application, for a database that the owner has migrated."""
    url, suffix = make_url(new_module_database()), uuid4().hex[:8]
    admin = create_engine(url, poolclass=NullPool)
    downgrade(admin, "base")
    owner, application = f"rowspace_owner_{suffix}", f"rowspace_app_{suffix}"
    (setup,) = BLOCK.findall(PAGE.read_text("utf-8"))
    setup = setup.replace("rowspace_owner", owner).replace("rowspace_app", application)
    with admin.begin() as connection:
        connection.exec_driver_sql("DROP TABLE rowspace_alembic_version")
        for statement in setup.replace("IN DATABASE app", f"IN DATABASE {url.database}").strip(" \n;").split(";"):
            connection.exec_driver_sql(statement)
    made = [url.set(username=name, password="...") for name in (owner, application)]
    upgrade(create_engine(made[0], poolclass=NullPool))
    yield made
    with admin.begin() as connection:
        for name in (owner, application):
            connection.exec_driver_sql(f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")


@pytest.fixture
def owning(urls):
    with Database.open(urls[0]) as database:
        yield database


@pytest.fixture
def owner(owning):
    return DocumentService(owning, HashingEmbedder())


@pytest.fixture
def application(urls):
    with Database.open(urls[1]) as database:
        yield database


@pytest.fixture
def service(application, owner):
    owner.create_collection("news")
    yield DocumentService(application, HashingEmbedder())
    owner.drop_collection("news")


def index_states(database):
    with database.begin() as session:
        collection = CollectionRepository(session).get("news")
    return {status.state for status in IndexBuilder(database.engine, collection).status() if status.wanted}


@pytest.mark.parametrize("commit_batches", [False, True])
def test_an_application_loads_and_the_owner_builds(service, owner, application, caplog, commit_batches):
    with caplog.at_level(logging.WARNING):
        assert service.add("news", TEXTS, commit_batches=commit_batches).inserted == 20
    assert [record.name for record in caplog.records] == ["rowspace.loads"]
    assert "The collection 'news' has no indexes, and this role may not build them" in caplog.messages[0]
    assert index_states(application) == {"missing"}
    assert service.search("news", "word7", k=1)[0].id == "7"
    owner.build_indexes("news")
    assert index_states(application) == {"valid"}
    caplog.clear()
    assert service.add("news", TEXTS, commit_batches=commit_batches).unchanged == 20
    assert caplog.records == []


def test_an_application_needs_no_right_to_make_tables(service):
    service.add("news", TEXTS, resume="load")
    assert service.add("news", [{"id": "0", "content": "changed"}]).updated == 1
    assert service.update_metadata("news", {"seen": True}, where={"n": {"$lt": 5}}) == 4
    assert service.delete("news", ["1", "2"]) == 2
    for mode in ("vector", "mmr", "text", "hybrid"):
        assert service.search("news", "word9", k=1, mode=mode, filter={"n": {"$gt": 3}})[0].id == "9"
    assert service.rename_collection("news", "olds").name == "olds"
    assert service.rename_collection("olds", "news").name == "news"


def test_what_makes_a_table_is_the_owners(service):
    with pytest.raises(PermissionDenied):
        service.create_collection("more")
    with pytest.raises(PermissionDenied):
        service.drop_collection("news")
    with pytest.raises(PermissionDenied):
        service.build_indexes("news")
    assert [one.name for one in service.collections()] == ["news"]


def test_a_build_that_is_not_allowed_has_left_nothing(service, application, owning):
    with application.session() as session:
        collection = CollectionRepository(session).get("news")
    # As on a standby.
    reading = create_engine(owning.engine.url, connect_args={"options": "-c default_transaction_read_only=on"})
    for engine in (application.engine, reading):
        with pytest.raises(PermissionDenied) as caught:
            IndexBuilder(engine, collection).create()
        assert not hasattr(caught.value.__cause__, "__notes__")
    reading.dispose()


@pytest.fixture
def secured(owner, owning, application):
    """The collection `shared`, made while `documents` has row-level security."""
    with owning.begin() as session:
        session.execute(text("ALTER TABLE documents ENABLE ROW LEVEL SECURITY"))
        session.execute(text("CREATE POLICY first_half ON documents USING ((metadata ->> 'n')::int < 10)"))
    owner.create_collection("shared")
    owner.add("shared", TEXTS)
    with application.begin() as session:
        partition = CollectionRepository(session).get("shared").partition
    yield partition
    owner.drop_collection("shared")
    with owning.begin() as session:
        session.execute(text("DROP POLICY first_half ON documents"))
        session.execute(text("ALTER TABLE documents DISABLE ROW LEVEL SECURITY"))


def test_a_new_partition_is_no_way_past_the_policies(secured, application, owner, owning):
    with application.begin() as session:
        assert session.scalar(text("SELECT count(*) FROM documents")) == 10
        assert session.scalar(text(f"SELECT count(*) FROM {secured}")) == 0
    owner.reembed("shared", HashingEmbedder(16))
    with application.begin() as session:
        assert session.scalar(text("SELECT count(*) FROM documents")) == 10
        assert session.scalar(text(f"SELECT count(*) FROM {secured}")) == 0
    with owning.begin() as session:
        assert session.scalar(text(f"SELECT count(*) FROM {secured}")) == 20


def test_what_is_written_for_a_reembedding_is_no_way_past_the_policies(secured, application, owning):
    with owning.begin() as session:
        repository = ReembedRepository(session, CollectionRepository(session).get("shared"))
        repository.begin("new", 3, None)
        repository.store(repository.rest(5), [[1, 2, 3]] * 5)
    with application.begin() as session:
        assert session.scalar(text(f"SELECT count(*) FROM {secured}_next")) == 0
    with owning.begin() as session:
        ReembedRepository(session, CollectionRepository(session).get("shared")).abandon()


def test_a_reembedding_loses_no_document_that_its_role_does_not_see(secured, owner, owning):
    with owning.begin() as session:
        session.execute(text(f"ALTER TABLE {secured} FORCE ROW LEVEL SECURITY"))
    with pytest.raises(PermissionDenied, match=r"affected by row-level security policy for table \"documents_\d+\""):
        owner.reembed("shared", HashingEmbedder(16))
    with owning.begin() as session:
        assert CollectionRepository(session).get("shared").reembedding is None
        session.execute(text(f"ALTER TABLE {secured} NO FORCE ROW LEVEL SECURITY"))
        assert session.scalar(text(f"SELECT count(*) FROM {secured}")) == 20
