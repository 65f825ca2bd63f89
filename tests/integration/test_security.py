"""Row-level security with a role that it binds: a tenant gets its k rows, and never another's."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import (
    HNSW,
    CollectionRepository,
    Database,
    DocumentRepository,
    MatrixRepository,
    Repository,
    TableRepository,
    Vector,
)
from rowspace.errors import PermissionDenied

ROWS, DIMENSION = 5_000, 16


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    __table_args__ = (HNSW().index("embedding", name="ix_notes_embedding"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    embedding: Mapped[object] = mapped_column(Vector(DIMENSION), deferred=True)


POLICY = """
    ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
    CREATE POLICY tenants ON notes USING (tenant = current_setting('app.tenant'));
    ALTER TABLE {partition} ENABLE ROW LEVEL SECURITY;
    ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
    CREATE POLICY tenants ON documents USING (metadata ->> 'tenant' = current_setting('app.tenant'));
    CREATE ROLE tenant_app LOGIN PASSWORD 's3cret';
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    GRANT SELECT, INSERT, UPDATE, DELETE ON notes, documents, collections, {partition} TO tenant_app;
"""


@pytest.fixture(scope="module")
def world(new_module_database):
    """5,000 rows; the tenant `small` has 12 of them, far from the queries."""
    dice = np.random.default_rng(5)
    vectors = dice.normal(size=(ROWS, DIMENSION)).astype(np.float32)
    tenants = np.where(np.arange(ROWS) % 400 == 7, "small", "large")
    vectors[:, 0] += np.where(tenants == "small", -3, 3)
    url = new_module_database()
    with Database.open(url) as database:
        with database.begin() as session:
            Base.metadata.create_all(session.connection())
            rows = list(zip(map(str, tenants), vectors, strict=True))
            Repository(session, Note).upsert(
                {"id": at, "tenant": tenant, "embedding": vector} for at, (tenant, vector) in enumerate(rows)
            )
            collection = CollectionRepository(session).create("notes", DIMENSION)
            documents = DocumentRepository(session, collection)
            documents.upsert(
                {"id": str(at), "content": "c", "embedding": vector, "meta": {"tenant": tenant}}
                for at, (tenant, vector) in enumerate(rows)
            )
            documents.create_indexes()
            for statement in POLICY.format(partition=collection.partition).strip(" \n;").split(";"):
                session.execute(text(statement))
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE notes")
        yield make_url(url).set(username="tenant_app", password="s3cret"), vectors, tenants
        with database.begin() as session:
            session.execute(text("DROP OWNED BY tenant_app"))
            session.execute(text("DROP ROLE tenant_app"))


@pytest.fixture
def session(world):
    with Database.open(world[0]) as database, database.begin() as session:
        session.execute(text("SET LOCAL app.tenant = 'small'"))
        yield session


@pytest.fixture(params=["model", "documents"])
def search(request, session):
    if request.param == "model":
        return Repository(session, Note).nearest
    return DocumentRepository(session, CollectionRepository(session).get("notes")).nearest


@pytest.mark.parametrize("k", [1, 10, 100])
def test_a_small_tenant_gets_its_nearest_rows(world, search, k):
    _, vectors, tenants = world
    own = np.flatnonzero(tenants == "small")
    for query in (np.eye(DIMENSION)[0], np.ones(DIMENSION)):
        cosine = 1 - vectors[own] @ query / (np.linalg.norm(vectors[own], axis=1) * np.linalg.norm(query))
        true = own[np.argsort(cosine)][:k]
        hits = search(query, k)
        assert [int(hit.entity.id) for hit in hits] == true.tolist()


def test_counting_and_deleting_stop_at_the_tenant(session):
    assert Repository(session, Note).count() == 13
    assert Repository(session, Note).delete(range(ROWS)) == 13
    documents = DocumentRepository(session, CollectionRepository(session).get("notes"))
    assert documents.count() == 13
    assert documents.get([str(at) for at in range(5)]) == []
    session.rollback()


@pytest.fixture(params=["open", "closed"])
def documents(request, world, session):
    """The documents of a tenant; the partition by itself is open to the role, or closed as new ones are."""
    collection = CollectionRepository(session).get("notes")
    word = {"open": "DISABLE", "closed": "ENABLE"}[request.param]
    with Database.open(world[0].set(username="postgres", password=None)) as database, database.begin() as admin:
        admin.execute(text(f"ALTER TABLE {collection.partition} {word} ROW LEVEL SECURITY"))
    return DocumentRepository(session, collection)


@pytest.mark.parametrize("where", [(), {"tenant": {"$in": ["small", "large"]}}])
def test_bulk_reads_stop_at_the_tenant(world, session, documents, where):
    own = {str(at) for at in np.flatnonzero(world[2] == "small")}
    matrix = MatrixRepository(session, documents.collection).read(where)
    assert {*matrix.keys} == own
    assert matrix.vectors.shape == (13, DIMENSION)
    with TableRepository(session, documents.collection).stream(["id"], where=where) as parts:
        assert sum(len(part["id"]) for part in parts) == 13


def test_bulk_writes_stop_at_the_tenant(session, documents):
    vector, meta = [1.0] * DIMENSION, {"tenant": "small"}
    others, own, new = ({"id": id_, "content": "x", "embedding": vector, "meta": meta} for id_ in ("0", "7", "new"))
    report = documents.upsert([own, new])
    assert (report.inserted, report.updated) == (1, 1)
    assert documents.upsert([{**new, "id": "fresh"}], fresh=True).inserted == 1
    for forged in (others, {**new, "id": "forged", "meta": {"tenant": "large"}}):
        with pytest.raises(PermissionDenied, match="violates row-level security policy"), session.begin_nested():
            documents.upsert([forged])
    matrices = MatrixRepository(session, documents.collection)
    assert matrices.update(["0", "7"], np.ones((2, DIMENSION), np.float32)) == 1
    session.rollback()


def test_what_a_role_may_not_do_is_said(session):
    with pytest.raises(
        PermissionDenied, match=r"permission denied for schema public.*Grant the privilege to this role"
    ):
        CollectionRepository(session).create("more", 3)
