"""Tables in a schema of their own, beside others of the same name in `public`."""

from __future__ import annotations

import enum

import pytest
from sqlalchemy import Enum, make_url, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import (
    CollectionRepository,
    Database,
    DocumentRepository,
    DocumentService,
    LoadReport,
    MatrixRepository,
    Repository,
    Vector,
)
from rowspace.migrations import at_head, downgrade, upgrade
from rowspace.testing import HashingEmbedder

SCHEMA = 'My "odd" schema: 100 % of v1.0'


class Base(DeclarativeBase):
    pass


class Mood(enum.Enum):
    GOOD = 1
    BAD = 2


class Item(Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    mood: Mapped[Mood] = mapped_column(Enum(Mood, name="mood"))
    embedding: Mapped[object] = mapped_column(Vector(2), deferred=True)


@pytest.fixture(scope="module")
def url(new_module_database):
    url = new_module_database()
    with Database.open(url, schema=SCHEMA) as database:
        upgrade(database.engine)
        with database.begin() as session:
            Base.metadata.create_all(session.connection())
    return url


@pytest.fixture(params=["psycopg", "psycopg2"])
def database(request, url):
    """In the schema, where the search path does not lead."""
    with (
        Database.open(url.replace("+psycopg", f"+{request.param}"), schema=SCHEMA) as database,
        database.engine.connect() as connection,
        connection.begin() as transaction,
    ):
        database.sessions.configure(bind=connection, join_transaction_mode="create_savepoint")
        yield database
        transaction.rollback()


def tables(session, schema):
    query = (
        "SELECT relname FROM pg_class WHERE relnamespace = CAST(:s AS text)::regnamespace AND relname ~ '^documents_'"
    )
    return set(session.scalars(text(f"{query} AND relkind = 'r'"), {"s": f'"{schema.replace(chr(34), chr(34) * 2)}"'}))


def test_collections_live_in_the_schema(database):
    with database.begin() as session:
        collection = CollectionRepository(session).create("news", 2, distance="l2")
        documents = DocumentRepository(session, collection)
        row = {"id": "1", "content": "c", "embedding": [3, 4], "meta": {"a": 1}}
        assert documents.upsert([row]) == LoadReport(1, inserted=1)
        assert documents.upsert([row]) == LoadReport(1, updated=1)
        documents.create_indexes()
        matrices = MatrixRepository(session, collection)
        assert matrices.read(where={"a": 1}).vectors.tolist() == [[3, 4]]
        assert matrices.update(["1"], [[3, 4]]) == 1
        (hit,) = documents.nearest([0, 0], where={"a": 1}, with_embedding=True)
        assert (hit.distance, hit.entity.embedding.tolist()) == (5, [3, 4])
        assert tables(session, SCHEMA) == {collection.partition}
        assert tables(session, "public") == set()
        assert documents.update_metadata({"a": 2}, where={"a": 1}) == 1
        assert documents.delete(where={"a": 2}) == 1
        CollectionRepository(session).drop("news")
        assert tables(session, SCHEMA) == set()


def test_models_live_in_the_schema(database):
    with database.begin() as session:
        items = Repository(session, Item)
        row = {"id": 1, "mood": Mood.BAD, "embedding": [1, 2]}
        assert items.upsert([row]) == LoadReport(1, inserted=1)
        (hit,) = items.nearest([1, 2], where=[Item.mood == Mood.BAD])
        assert hit.entity.mood is Mood.BAD
        assert items.get(1) is hit.entity
        assert items.delete_where(Item.id == 1) == 1


def test_services_work_in_the_schema(database):
    service = DocumentService(database, HashingEmbedder())
    service.create_collection("news")
    service.add("news", ["vector database", "apple pie"])
    assert service.search("news", "database")[0].content == "vector database"
    assert service.add("news", ["apple pie"]) == LoadReport(1, unchanged=1)


@pytest.fixture
def shadowed(new_database):
    """Nothing in `public` yet, and a schema that is before it on one of two search paths."""
    url = make_url(new_database())
    first = url.update_query_dict({"options": "-csearch_path=rag,public"})
    with Database.open(url) as plain, Database.open(first) as both:
        downgrade(plain.engine, "base")
        with plain.begin() as session:
            session.execute(text("CREATE SCHEMA rag"))
        yield plain, both


def test_an_upgrade_goes_on_where_the_tables_are(shadowed):
    """On the path `rag,public`, as on the default "$user",public, a new table goes to the first schema."""
    plain, both = shadowed
    upgrade(plain.engine, "0001")
    upgrade(both.engine)
    with plain.begin() as session:
        assert made_in(session, "rag") == 0
    assert (at_head(both.engine), at_head(plain.engine)) == (True, True)
    downgrade(both.engine, "base")
    assert (at_head(both.engine), at_head(plain.engine)) == (False, False)


def made_in(session, schema):
    return session.scalar(text("SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace(:s)"), {"s": schema})


def test_collections_are_made_where_the_documents_are(shadowed):
    plain, both = shadowed
    upgrade(plain.engine)
    for name, database in {"first": both, "second": plain, "third": both}.items():
        service = DocumentService(database, HashingEmbedder(8))
        service.create_collection(name)
        service.add(name, ["vector database", "apple pie"], resume="load")
        # Its tables take the place of the old ones.
        DocumentService(both, HashingEmbedder(8)).reembed(name, HashingEmbedder(16))
    with plain.begin() as session:
        assert made_in(session, "rag") == 0
    for database in (plain, both):
        service = DocumentService(database, HashingEmbedder(16))
        for name in ("first", "second", "third"):
            assert service.search(name, "database", k=1)[0].content == "vector database"
    service.drop_collection("second")
