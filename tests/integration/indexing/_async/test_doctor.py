"""The doctor on a real server: what is wrong on purpose is found, and nothing else."""

from __future__ import annotations

from typing import ClassVar
from uuid import uuid4

import pytest
from sqlalchemy import ForeignKey, Integer, Text, text
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.schema import CreateIndex, CreateTable

from rowspace import (
    HNSW,
    AsyncCollectionRepository,
    AsyncDatabase,
    AsyncDoctor,
    AsyncDocumentRepository,
    AsyncRepository,
    Bit,
    IVFFlat,
    Vector,
)
from rowspace.errors import ConfigurationError, SchemaNotReady

DIMENSION = 96
#: What depends on the machine and on what other tests left.
ELSEWHERE = {"random-page-cost", "large-indexes", "build-memory", "unused-index"}


async def fill(session, vectors, index):
    collection = await AsyncCollectionRepository(session).create(uuid4().hex, DIMENSION, index=index)
    documents = AsyncDocumentRepository(session, collection)
    await documents.upsert({"id": str(n), "content": "text", "embedding": v} for n, v in enumerate(vectors))
    return documents


async def filled_alone(session, vectors):
    """Fill a collection and build its indexes; autovacuum, which would analyse it meanwhile, stays away."""
    documents = await fill(session, vectors, HNSW())
    await documents.create_indexes()
    await session.execute(text(f"ALTER TABLE {documents.collection.partition} SET (autovacuum_enabled = false)"))
    return documents


async def counted(session, documents, changes):
    """Commit, and wait until that many changes are in the server's statistics, which they reach some time later."""
    table = documents.collection.partition
    seen = text(f"SELECT n_tup_ins + n_tup_del FROM pg_stat_user_tables WHERE relname = '{table}'")
    await session.commit()
    while await session.scalar(seen) != changes:
        await session.execute(text("SELECT pg_sleep(0.05)"))
        await session.commit()
    await session.commit()


def about(findings, documents):
    collection = documents.collection
    return {
        finding.check: finding
        for finding in findings
        if finding.check not in ELSEWHERE and (collection.name in str(finding) or collection.partition in str(finding))
    }


async def test_a_collection_with_its_index_is_well(session, vectors):
    documents = await fill(session, vectors, HNSW())
    await documents.create_indexes()
    assert about(await AsyncDoctor(session).check(recall=0.5, queries=5), documents) == {}


async def test_a_partition_that_was_detached_is_found_and_attached(session, vectors):
    documents = await fill(session, vectors[:3], None)
    table = documents.collection.partition
    await session.execute(text(f"ALTER TABLE documents DETACH PARTITION {table}"))
    assert await documents.nearest(vectors[0], 3, exact=True) == []
    found = about(await AsyncDoctor(session).check(), documents)
    assert found.keys() == {"detached-partition"}
    await session.execute(text(found["detached-partition"].fix))
    assert len(await documents.nearest(vectors[0], 3, exact=True)) == 3
    assert about(await AsyncDoctor(session).check(), documents) == {}


async def test_an_extension_that_the_search_path_lacks_is_found(session):
    await session.execute(text("CREATE SCHEMA hides"))
    await session.execute(text("ALTER EXTENSION vector SET SCHEMA hides"))
    (finding,) = [one for one in await AsyncDoctor(session).check() if one.subject == "vector"]
    assert (finding.severity, "is in the schema hides, which this role does not search" in finding.what) == (
        "error",
        True,
    )
    await session.execute(text("SET LOCAL search_path = public, hides"))
    assert "vector" not in {one.subject for one in await AsyncDoctor(session).check()}


async def test_tables_of_the_same_name_in_another_schema_are_somebody_elses(session):
    table = (await fill(session, [], HNSW())).collection.partition
    # Before `public` by name, as the facts come.
    other = f"a_{uuid4().hex[:8]}"
    await session.execute(text(f"CREATE SCHEMA {other}"))
    await session.execute(text(f"CREATE TABLE {other}.{table} (embedding vector({DIMENSION + 1}), at int)"))
    await session.execute(text(f"CREATE INDEX ix_{table}_key_at ON {other}.{table} (at)"))
    assert [one for one in await AsyncDoctor(session).check() if table in f"{one.subject} {one.what}"] == []


async def test_a_first_load_leaves_nothing_to_find(index_url, vectors):
    async with AsyncDatabase.open(index_url) as database, database.session() as session:
        documents = await filled_alone(session, vectors)
        await counted(session, documents, 2_000)
        assert about(await AsyncDoctor(session).check(), documents) == {}
        more = ({"id": f"more {n}", "content": "text", "embedding": v} for n, v in enumerate(vectors))
        await documents.upsert(more)
        await counted(session, documents, 4_000)
        found = about(await AsyncDoctor(session).check(), documents)
        assert {name: finding.what for name, finding in found.items()} == {
            "stale-statistics": f"2000 rows of {documents.collection.partition} changed since the last ANALYZE (100%)."
        }


async def test_what_was_deleted_is_in_the_graph_until_a_vacuum(index_url, vectors):
    async with AsyncDatabase.open(index_url) as database, database.session() as session:
        documents = await filled_alone(session, vectors)
        partition = documents.collection.partition
        await session.commit()
        assert await documents.delete(str(n) for n in range(len(vectors))) == 2_000
        await counted(session, documents, 4_000)
        found = about(await AsyncDoctor(session).check(), documents)
        assert found["dead-rows"].what == f"{partition} has 2000 dead rows, and had 2000 rows at the last ANALYZE."
        assert f"VACUUM public.{partition};" in found["dead-rows"].fix


async def test_statistics_count_where_their_time_was_forgotten(session, vectors):
    documents = await fill(session, vectors, HNSW())
    await documents.create_indexes()
    await session.execute(
        text(f"SELECT pg_stat_reset_single_table_counters('{documents.collection.partition}'::regclass)")
    )
    assert about(await AsyncDoctor(session).check(), documents) == {}


async def test_a_collection_without_its_index(session, vectors):
    documents = await fill(session, vectors, HNSW())
    await session.execute(text(f"ANALYZE {documents.collection.partition}"))
    (finding,) = about(await AsyncDoctor(session).check(), documents).values()
    assert (finding.check, finding.severity) == ("missing-index", "warning")
    assert finding.fix == f"rowspace index build {documents.collection.name}"


async def test_an_index_by_another_distance_and_one_twice(session, vectors):
    documents = await fill(session, vectors, HNSW())
    await documents.create_indexes()
    collection = documents.collection
    await session.execute(text(f"CREATE INDEX again ON {collection.partition} USING gin (metadata jsonb_path_ops)"))
    collection.index = {**collection.index, "distance": "l2"}
    collection.distance = "l2"
    await session.flush()
    found = about(await AsyncDoctor(session).check(), documents)
    assert set(found) == {"index-mismatch", "duplicate-index"}
    assert "operator class is vector_cosine_ops, not vector_l2_ops" in found["index-mismatch"].what
    assert found["duplicate-index"].subject in {"again", f"ix_{collection.partition}_metadata"}


async def test_a_recall_that_is_too_low(session, vectors):
    documents = await fill(session, vectors, IVFFlat(lists=200))
    await documents.create_indexes()
    await session.execute(text("SET LOCAL enable_seqscan = off"))
    found = about(await AsyncDoctor(session).check(recall=0.99, queries=10), documents)
    assert set(found) == {"recall"}
    assert found["recall"].fix == f"rowspace tune {documents.collection.name} --recall 0.99"


async def test_the_recall_of_each_indexed_column(session, vectors):
    class Own(DeclarativeBase):
        pass

    table = f"clips_{uuid4().hex[:8]}"

    class Clip(Own):
        __tablename__ = table
        id = mapped_column(Integer, primary_key=True)
        image = mapped_column(Vector(DIMENSION))
        caption = mapped_column(Vector(DIMENSION))
        plain = mapped_column(Vector(DIMENSION))
        unused = mapped_column(Vector(DIMENSION))
        __table_args__ = (
            HNSW("l2").index("image", name=f"{table}_image"),
            IVFFlat("cosine", lists=200).index("caption", name=f"{table}_cosine"),
            IVFFlat("l2", lists=200).index("caption", name=f"{table}_l2"),
            HNSW().index("unused", name=f"{table}_unused"),
        )

    rows = [{"id": n, "image": v, "caption": v, "plain": v} for n, v in enumerate(vectors)]
    connection = await session.connection()
    await connection.execute(CreateTable(Clip.__table__))
    await AsyncRepository(session, Clip, column="image").upsert(rows)
    for index in Clip.__table__.indexes:
        await connection.execute(CreateIndex(index))
    await session.execute(text(f"ANALYZE {table}"))
    await session.execute(text("SET LOCAL enable_seqscan = off"))

    async def low(recall, queries):
        findings = await AsyncDoctor(session, [Clip]).check(recall=recall, queries=queries)
        # Other tests leave collections in this database, which have a recall of their own.
        return [f for f in findings if f.check == "recall" and f.subject.startswith("Clip.")]

    found = await low(0.9, 10)
    assert [finding.subject for finding in found] == ["Clip.caption by l2", "Clip.caption by cosine"]
    assert found[1].fix == "IndexAdvisor(session, Clip, column='caption', distance='cosine').tune()"
    assert not await low(0.01, 5)


async def test_what_the_role_may_not_read_is_a_finding_and_the_rest_goes_on(session, vectors):
    class Own(DeclarativeBase):
        pass

    suffix = uuid4().hex[:8]

    class Secret(Own):
        __tablename__ = f"secrets_{suffix}"
        __table_args__ = (HNSW().index("embedding", name=f"secrets_{suffix}_ix"),)
        id = mapped_column(Integer, primary_key=True)
        embedding = mapped_column(Vector(DIMENSION))

    class Open(Own):
        __tablename__ = f"open_{suffix}"
        __table_args__ = (
            IVFFlat(lists=200).index("embedding", name=f"open_{suffix}_ix"),
            HNSW().index("hidden", name=f"open_{suffix}_hidden"),
        )
        id = mapped_column(Integer, primary_key=True)
        embedding = mapped_column(Vector(DIMENSION))
        hidden = mapped_column(Vector(DIMENSION), deferred=True)

    for model in (Secret, Open):
        await session.execute(CreateTable(model.__table__))
        rows = ({"id": n, "embedding": v} for n, v in enumerate(vectors))
        await AsyncRepository(session, model, column="embedding").upsert(rows)
        for index in model.__table__.indexes:
            await session.execute(CreateIndex(index))
        await session.execute(text(f"ANALYZE {model.__tablename__}"))
    # A collection that nobody may read is no reason to end either.
    await AsyncCollectionRepository(session).create(f"closed {suffix}", DIMENSION)
    await session.execute(text(f"CREATE ROLE auditor_{suffix}"))
    await session.execute(text(f"GRANT SELECT ON collections TO auditor_{suffix}"))
    await session.execute(text(f"GRANT SELECT (id, embedding) ON open_{suffix} TO auditor_{suffix}"))
    await session.execute(text("SET LOCAL enable_seqscan = off"))
    await session.execute(text(f"SET LOCAL ROLE auditor_{suffix}"))
    findings = await AsyncDoctor(session, [Secret, Open]).check(recall=0.99, queries=10)
    found = {f.subject: f for f in findings if f.check in {"unreadable", "recall"}}
    assert (found["Open.embedding"].check, found["Open"].check) == ("recall", "unreadable")
    assert (found["Secret"].check, found["Secret"].severity) == ("unreadable", "warning")
    assert found["Secret"].what == (
        f"The recall of Secret was not measured: permission denied for table secrets_{suffix}."
    )
    closed = next(finding for subject, finding in found.items() if f"closed {suffix}" in subject)
    assert closed.what.endswith("was not measured: permission denied for table documents.")
    assert await session.scalar(text("SELECT current_user")) == f"auditor_{suffix}"
    await session.rollback()


async def test_the_recall_is_measured_in_autocommit_too(index_url, vectors):
    async with AsyncDatabase.open(index_url) as database:
        async with database.begin() as session:
            documents = await fill(session, vectors, IVFFlat(lists=200))
            await documents.create_indexes()
        async with database.session() as session:
            await session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
            await session.execute(text("SET enable_seqscan = off"))
            assert set(about(await AsyncDoctor(session).check(recall=0.99, queries=10), documents)) == {"recall"}


async def test_a_recall_that_cannot_be_measured_is_not_left_out(session, vectors):
    await fill(session, vectors, HNSW())
    with pytest.raises(ConfigurationError, match="queries must be at least 1, got 0"):
        await AsyncDoctor(session).check(recall=0.9, queries=0)


async def test_tables_of_every_kind_are_found(session):
    class Own(DeclarativeBase):
        pass

    name = f"kinds_{uuid4().hex[:8]}"

    class Bits(Own):
        __tablename__ = f"{name}_bits"
        __table_args__ = (HNSW("hamming").index("bits", name=f"{name}_bits_ix"),)
        id = mapped_column(Integer, primary_key=True)
        bits = mapped_column(Bit(8))

    class Parted(Own):
        __tablename__ = f"{name}_parted"
        __table_args__ = (
            HNSW().index("embedding", name=f"{name}_parted_ix"),
            {"postgresql_partition_by": "RANGE (id)"},
        )
        id = mapped_column(Integer, primary_key=True)
        embedding = mapped_column(Vector(3))

    class Parent(Own):
        __tablename__ = f"{name}_parent"
        __mapper_args__: ClassVar = {"polymorphic_on": "kind", "polymorphic_identity": "parent"}
        id = mapped_column(Integer, primary_key=True)
        kind = mapped_column(Text)
        embedding = mapped_column(Vector(3))

    class Child(Parent):
        __tablename__ = f"{name}_child"
        __mapper_args__: ClassVar = {"polymorphic_identity": "child"}
        id = mapped_column(ForeignKey(Parent.id), primary_key=True)

    class Nowhere(Own):
        __tablename__ = f"{name}_nowhere"
        id = mapped_column(Integer, primary_key=True)
        embedding = mapped_column(Vector(3))

    async def found():
        findings = await AsyncDoctor(session, [Bits, Parted, Child, Nowhere]).check()
        return {(f.check, f.subject) for f in findings if name in str(f) and f.check not in ELSEWHERE}

    for model in (Bits, Parted, Parent, Child):
        await session.execute(CreateTable(model.__table__))
        for index in model.__table__.indexes:
            await session.execute(CreateIndex(index))
    await session.execute(text(f"CREATE TABLE {name}_p PARTITION OF {name}_parted DEFAULT"))
    rows = "SELECT n, ARRAY[1, 2, n + 1]::vector FROM generate_series(1, 2000) n"
    await session.execute(text(f"INSERT INTO {name}_parted (id, embedding) {rows}"))
    await session.execute(text(f"ANALYZE {name}_parted"))
    assert await found() == {("missing-table", "Nowhere")}
    await session.execute(text(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{name}_bits_ix'::regclass"))
    assert await found() == {("missing-table", "Nowhere"), ("invalid-index", f"{name}_bits_ix")}


async def test_a_model_whose_column_is_another(session):
    class Own(DeclarativeBase):
        pass

    class Picture(Own):
        __tablename__ = f"pictures_{uuid4().hex[:8]}"
        id = mapped_column(Integer, primary_key=True)
        embedding = mapped_column(Vector(DIMENSION))

    await session.execute(text(f"CREATE TABLE {Picture.__tablename__} (id int, embedding vector(3))"))
    found = [f for f in await AsyncDoctor(session, [Picture]).check(recall=0.9) if f.subject == "Picture"]
    assert [finding.check for finding in found] == ["dimension-mismatch"]


async def test_models_alone_need_no_table_of_rowspaces(session):
    class Own(DeclarativeBase):
        pass

    class Picture(Own):
        __tablename__ = "pictures"
        id = mapped_column(Integer, primary_key=True)
        embedding = mapped_column(Vector(DIMENSION))

    schema = f"alone_{uuid4().hex[:8]}"
    connection = await session.connection(execution_options={"schema_translate_map": {None: schema}})
    await session.execute(text(f"CREATE SCHEMA {schema}"))
    await connection.execute(CreateTable(Picture.__table__))
    found = await AsyncDoctor(session, [Picture]).check(recall=0.9)
    assert [finding.check for finding in found if finding.subject == "Picture"] == []
    with pytest.raises(SchemaNotReady):
        await AsyncDoctor(session).check()
