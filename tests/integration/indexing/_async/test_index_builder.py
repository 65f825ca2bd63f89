"""Building, breaking and repairing indexes on a real server."""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import ClassVar
from uuid import uuid4

import pytest
from sqlalchemy import ForeignKey, Integer, NullPool, Text, create_engine, text
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.schema import CreateTable

from rowspace import (
    HNSW,
    AsyncCollectionRepository,
    AsyncDatabase,
    AsyncDoctor,
    AsyncDocumentRepository,
    AsyncIndexAdvisor,
    AsyncIndexBuilder,
    AsyncRepository,
    IndexBuilder,
    IVFFlat,
    Vector,
)
from rowspace.errors import ConfigurationError, InvalidFilter, InvalidSetting, StoreUnavailable
from rowspace.repositories import background
from rowspace.repositories._async import building
from rowspace.statements import catalog
from rowspace.statements.catalog import build_lock

DIMENSION = 96
#: Slow enough to be seen.
SLOW = HNSW(m=24, ef_construction=200)


class StopHere(Exception):
    """Raised by a progress callback that wants the build to end."""


@pytest.fixture(autouse=True)
def look_often(monkeypatch):
    monkeypatch.setattr(building, "_EVERY", 0.02)


@pytest.fixture
async def fill(database, vectors):
    """Return a function that makes a collection of 1,000 documents without indexes."""

    async def fill(index, rows=1_000):
        name = uuid4().hex
        async with database.begin() as session:
            collection = await AsyncCollectionRepository(session).create(name, DIMENSION, index=index)
            documents = ({"id": str(n), "content": "text", "embedding": v} for n, v in enumerate(vectors[:rows]))
            await AsyncDocumentRepository(session, collection).upsert(documents)
        return collection

    return fill


def states(statuses):
    return {status.name.rpartition("_")[2]: status.state for status in statuses}


async def change(session, collection):
    """Write a row: until the transaction ends a build waits, however fast the server and slow this process."""
    await session.execute(text(f"UPDATE {collection.partition} SET content = content WHERE id = '0'"))


async def broken_build(database, collection, interfere, error):
    """Build the vector index, interfere while it waits for who has written, and return the builder and the error."""

    def watch(progress):
        if progress.phase == "waiting for writers before build":
            interfere()

    builder = AsyncIndexBuilder(database.engine, collection)
    await builder.create()
    await builder.drop()
    async with database.begin() as session:
        await change(session, collection)
        with pytest.raises(error) as broken:
            await builder.create(progress=watch)
    return builder, broken


async def stopped_build(database, collection):
    def stop():
        raise StopHere

    return await broken_build(database, collection, stop, StopHere)


def note_of(collection):
    return (
        f"The build of ix_{collection.partition}_embedding did not finish and may have left it INVALID. To "
        "repair it, run `rowspace index repair` or IndexBuilder.repair()."
    )


async def test_create_makes_what_is_missing_and_tells_how_far_it_is(database, fill, monkeypatch):
    collection = await fill(SLOW)
    seen = []
    # A second each time that it is looked at, of a clock that began long ago.
    monkeypatch.setattr(building, "monotonic", partial(next, count(1_000)))
    builder = AsyncIndexBuilder(database.engine, collection)
    assert states(await builder.status()) == {
        str(collection.id): "valid", "metadata": "missing", "text": "missing", "embedding": "missing"
    }  # fmt: skip
    made = await builder.create(maintenance_work_mem="64MB", parallel_workers=0, progress=seen.append)
    (vector,) = [status for status in made if status.method == "hnsw"]
    assert (vector.fits, vector.rows, vector.scans, vector.size > 500_000) == (True, 1_000, 0, True)
    assert set(states(made).values()) == {"valid"}
    loading = [p for p in seen if p.index == vector.name and p.phase == "building index: loading tuples" and p.percent]
    percents = [progress.percent for progress in loading]
    assert len(percents) > 2
    assert percents == sorted(percents)
    assert 0 < percents[0] < 100
    told = [progress.seconds for progress in seen if progress.index == vector.name]
    assert told == [*range(1, len(told) + 1)]


async def test_a_build_that_was_stopped_leaves_an_invalid_index_that_create_repairs(database, fill):
    collection = await fill(HNSW(), rows=10)
    builder, stopped = await stopped_build(database, collection)
    assert stopped.value.__notes__ == [note_of(collection)]
    assert states(await builder.status())["embedding"] == "invalid"
    assert states(await builder.create())["embedding"] == "valid"


async def test_a_build_whose_server_process_is_killed_is_found_and_repaired(database, index_url, fill):
    collection = await fill(SLOW)
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_progress_create_index WHERE relid = CAST(:table AS regclass)"
    admin = create_engine(index_url, poolclass=NullPool)

    def terminate():
        with admin.connect() as connection:
            connection.execute(text(kill), {"table": collection.partition})

    builder, lost = await broken_build(database, collection, terminate, StoreUnavailable)
    assert lost.value.__notes__ == [note_of(collection)]
    assert states(await builder.status())["embedding"] == "invalid"
    async with database.begin() as session:
        found = {one.subject: one for one in await AsyncDoctor(session).check()}
    assert found[f"ix_{collection.partition}_embedding"].fix == f"rowspace index repair {collection.name}"
    assert states(await builder.repair())["embedding"] == "valid"


async def test_a_build_on_a_server_that_does_not_answer_is_left_to_itself(database, index_url, fill, monkeypatch):
    """As where the network swallows the cancel, or the process of the server is stopped."""
    collection, pids = await fill(HNSW(), rows=10), []
    monkeypatch.setattr(catalog, "CANCEL", text("SELECT CAST(:pid AS bigint)"))
    monkeypatch.setattr(background, "_PATIENCE", 0.05)
    builder = AsyncIndexBuilder(database.engine, collection)
    waiting = "SELECT pid FROM pg_stat_progress_create_index WHERE relid = CAST(:table AS regclass) AND phase ~ 'wait'"
    with create_engine(index_url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as other:

        def stop(_):
            pids[:] = other.scalars(text(waiting), {"table": collection.partition}).all()
            if pids:
                raise StopHere

        async with database.begin() as session:
            await change(session, collection)
            with pytest.raises(StopHere) as stopped:
                await builder.create(progress=stop)
            assert stopped.value.__notes__[0] == "The server did not answer, and may still be running it."
            assert other.scalars(text(waiting), {"table": collection.partition}).all() == pids
            # When it answers at last.
            other.execute(text("SELECT pg_terminate_backend(:pid, 60000)"), {"pid": pids[0]})
    assert states(await builder.create())["embedding"] == "valid"


async def test_repair_makes_only_invalid_indexes_anew(database, fill):
    collection = await fill(HNSW(), rows=10)
    builder, _ = await stopped_build(database, collection)
    await builder.drop(f"ix_{collection.partition}_text")
    repaired = states(await builder.repair(maintenance_work_mem="64MB"))
    assert (repaired["embedding"], repaired["text"]) == ("valid", "missing")


async def test_only_one_builder_works_on_a_table(database, index_url, fill):
    collection = await fill(SLOW)
    builder = AsyncIndexBuilder(database.engine, collection)
    lock, seen = build_lock(collection.partition, None), []
    # A transaction that stays open would be waited for.
    with create_engine(index_url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as other:
        await builder.create(progress=lambda _: seen.append(other.scalar(lock)))
        assert set(seen) == {False}
        assert other.scalar(lock) is True
        for work in (builder.create, builder.repair, builder.reindex, builder.drop):
            with pytest.raises(ConfigurationError, match=f"building or dropping indexes of {collection.partition}"):
                await work()
        # At once: a server that is hung up on lets go a moment later.
        other.exec_driver_sql("SELECT pg_advisory_unlock_all()")
    assert states(await builder.reindex())["embedding"] == "valid"


async def test_what_a_stopped_reindex_left_is_dropped(database, fill):
    collection = await fill(HNSW(), rows=10)
    builder = AsyncIndexBuilder(database.engine, collection)
    await builder.create()

    def stop(progress):
        if progress.phase == "waiting for writers before build":
            raise StopHere

    async with database.begin() as session:
        await change(session, collection)
        with pytest.raises(StopHere):
            await builder.reindex(progress=stop)
    left = {status.name.removeprefix(f"ix_{collection.partition}_"): status for status in await builder.status()}
    assert (left["embedding"].state, left["embedding_ccnew"].state) == ("valid", "invalid")
    assert not left["embedding_ccnew"].wanted
    repaired = await builder.repair()
    assert ("ccnew" in str(repaired), states(repaired)["embedding"]) == (False, "valid")


async def test_the_old_index_is_no_broken_one_while_a_reindex_waits_for_its_readers(database, fill, index_url):
    collection, found = await fill(HNSW(), rows=10), {}
    builder = AsyncIndexBuilder(database.engine, collection)
    await builder.create()
    with create_engine(index_url, poolclass=NullPool).connect() as reader:
        reader.execute(text(f"SELECT id FROM {collection.partition}"))

        def look(progress):
            if progress.phase == "waiting for readers before marking dead":
                found.update(states(IndexBuilder(reader.engine, collection).status()))
                reader.rollback()

        await builder.reindex(progress=look)
    assert (found["embedding"], found["ccold"]) == ("valid", "building")


async def test_settings_end_with_the_build(index_url, fill):
    collection = await fill(HNSW(), rows=10)
    # One connection, which the build's and everybody's after it would be.
    async with AsyncDatabase.open(index_url, pool_size=1, max_overflow=0) as database:
        await AsyncIndexBuilder(database.engine, collection).create(maintenance_work_mem="65MB", parallel_workers=1)
        async with database.session() as session:
            shown = [
                await session.scalar(text(f"SHOW {name}"))
                for name in ("maintenance_work_mem", "max_parallel_maintenance_workers", "statement_timeout")
            ]
    assert shown == ["64MB", "2", "0"]


async def test_settings_are_checked(database, fill):
    collection = await fill(None, rows=1)
    builder = AsyncIndexBuilder(database.engine, collection)
    with pytest.raises(InvalidSetting, match="maintenance_work_mem must be a number with kB"):
        await builder.create(maintenance_work_mem="1GB'; DROP TABLE documents; --")
    with pytest.raises(InvalidSetting, match="from 0 to 1024"):
        await builder.create(parallel_workers=-1)


async def test_lists_follow_the_rows(database, fill, vectors):
    collection = await fill(IVFFlat(quantize="halfvec"), rows=2_000)
    (made,) = [s for s in await AsyncIndexBuilder(database.engine, collection).create() if s.method == "ivfflat"]
    assert made.definition.endswith("USING ivfflat (((embedding)::halfvec(96)) halfvec_cosine_ops) WITH (lists='2')")
    async with database.begin() as session:
        rows = ({"id": f"more {n}", "content": "", "meta": {}, "embedding": v} for n, v in enumerate(vectors))
        await AsyncDocumentRepository(session, collection).upsert(rows)
    # It is what the collection asks for, though it would have other lists if it were made now.
    (there,) = [s for s in await AsyncIndexBuilder(database.engine, collection).create() if s.method == "ivfflat"]
    assert (there.definition, there.fits) == (made.definition, True)
    assert made.fits


async def test_another_index_of_that_name_is_refused_until_it_is_dropped(database, fill):
    collection = await fill(HNSW(), rows=50)
    await AsyncIndexBuilder(database.engine, collection).create()
    collection.index = {"method": "hnsw", "distance": "cosine", "m": 8, "ef_construction": 64, "quantize": "bit"}
    builder = AsyncIndexBuilder(database.engine, collection)
    (vector,) = [status for status in await builder.status() if status.method == "hnsw"]
    assert vector.differences == (
        "operator class is vector_cosine_ops, not bit_hamming_ops",
        "cast is vector(96), not bit(96)",
        "m is 16, not 8",
    )
    with pytest.raises(ConfigurationError, match=r"its m is 16, not 8\. Call drop"):
        await builder.create()
    await builder.drop()
    (vector,) = [status for status in await builder.create() if status.method == "hnsw"]
    assert vector.fits
    with pytest.raises(ConfigurationError, match="There is no index nothing among ix_"):
        await builder.drop("nothing")


async def test_a_partial_index_of_a_collection(database, fill):
    collection = await fill(HNSW(where={"lang": "50%"}), rows=50)
    (made,) = [s for s in await AsyncIndexBuilder(database.engine, collection).create() if s.method == "hnsw"]
    assert made.definition.endswith("""WHERE (metadata @> '{"lang": "50%"}'::jsonb)""")
    assert made.fits


async def test_a_model_of_ones_own(database, vectors):
    class Own(DeclarativeBase):
        pass

    class Picture(Own):
        __tablename__ = f"pictures_{uuid4().hex[:8]}"
        __table_args__ = (HNSW("l2", quantize="bit").index("embedding"), IVFFlat(lists=2).index("other"))
        id = mapped_column(Integer, primary_key=True)
        embedding = mapped_column(Vector(DIMENSION))
        other = mapped_column(Vector(3000))

    async with database.begin() as session:
        await session.execute(
            text(f"CREATE TABLE {Picture.__tablename__} (id int, embedding vector(96), other vector)")
        )
    builder = AsyncIndexBuilder(database.engine, Picture)
    assert [status.state for status in await builder.status()] == ["missing", "missing"]
    made = await builder.create(concurrently=False)
    assert [(status.method, status.fits) for status in made] == [("hnsw", True), ("ivfflat", True)]
    assert "(binary_quantize(embedding))::bit(96)) bit_hamming_ops" in made[0].definition
    assert [status.state for status in await builder.reindex(made[0].name, concurrently=False)] == ["valid", "valid"]
    await builder.drop()
    assert [status.state for status in await builder.status()] == ["missing", "missing"]
    with pytest.raises(ConfigurationError, match=r"to rebuild\. Create"):
        await builder.reindex()


async def test_a_partitioned_model(database, vectors):
    class Own(DeclarativeBase):
        pass

    name = f"parted_{uuid4().hex[:8]}"

    class Parted(Own):
        __tablename__ = name
        __table_args__ = (HNSW().index("embedding", name=f"{name}_ix"), {"postgresql_partition_by": "HASH (id)"})
        id = mapped_column(Integer, primary_key=True)
        embedding = mapped_column(Vector(DIMENSION))

    async with database.begin() as session:
        await session.execute(CreateTable(Parted.__table__))
        for rest in range(2):
            part = f"CREATE TABLE {name}_{rest} PARTITION OF {name} FOR VALUES WITH (MODULUS 2, REMAINDER {rest})"
            await session.execute(text(part))
        await AsyncRepository(session, Parted).upsert({"id": n, "embedding": v} for n, v in enumerate(vectors[:500]))
    builder = AsyncIndexBuilder(database.engine, Parted)
    with pytest.raises(ConfigurationError, match=r"partitioned table .* concurrently\. Pass concurrently=False"):
        await builder.create()
    states = {status.name: status.state for status in await builder.create(concurrently=False)}
    assert states[f"{name}_ix"] == states[f"{name}_0_embedding_idx"] == states[f"{name}_1_embedding_idx"] == "valid"
    assert next(status for status in await builder.reindex() if status.name == f"{name}_ix").fits
    async with database.begin() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        advisor = AsyncIndexAdvisor(session, Parted)
        plan = await advisor.explain(vectors[0], 3)
        assert plan.index in {f"{name}_0_embedding_idx", f"{name}_1_embedding_idx"}
        assert (await advisor.tune(0.5, 3, queries=3)).reached
        assert len(await AsyncRepository(session, Parted).nearest(vectors[0], 3, recall=0.5)) == 3
    with pytest.raises(ConfigurationError, match=r"partitioned index .* concurrently"):
        await builder.drop()
    await builder.drop(concurrently=False)
    assert {status.name: status.state for status in await builder.status()}[f"{name}_ix"] == "missing"


async def test_a_class_that_inherits_its_vector_from_another_table(database):
    class Own(DeclarativeBase):
        pass

    name = f"inherited_{uuid4().hex[:8]}"

    class Parent(Own):
        __tablename__ = name
        __table_args__ = (HNSW().index("embedding", name=f"{name}_ix"),)
        __mapper_args__: ClassVar = {"polymorphic_on": "kind", "polymorphic_identity": "parent"}
        id = mapped_column(Integer, primary_key=True)
        kind = mapped_column(Text)
        embedding = mapped_column(Vector(3))

    class Child(Parent):
        __tablename__ = f"{name}_child"
        __mapper_args__: ClassVar = {"polymorphic_identity": "child"}
        id = mapped_column(ForeignKey(Parent.id), primary_key=True)

    async with database.begin() as session:
        await session.execute(CreateTable(Parent.__table__))
    (made,) = [status for status in await AsyncIndexBuilder(database.engine, Child).create() if status.wanted]
    assert (made.name, made.table, made.fits) == (f"{name}_ix", name, True)


async def test_a_model_without_a_vector_index_is_refused(database):
    class Own(DeclarativeBase):
        pass

    class Plain(Own):
        __tablename__ = f"plain_{uuid4().hex[:8]}"
        id = mapped_column(Integer, primary_key=True)

    with pytest.raises(ConfigurationError, match="declares no vector index"):
        AsyncIndexBuilder(database.engine, Plain)


async def pages(database, table, condition):
    """Return how many pages the rows that match are on."""
    async with database.session() as session:
        page = "(CAST(CAST(ctid AS text) AS point))[0]"
        return await session.scalar(text(f"SELECT count(DISTINCT {page}) FROM {table} WHERE {condition}"))


async def test_rows_with_the_same_value_of_a_key_are_put_together(database, vectors):
    texts = {2: "b" * 5_000, 3: {"inner": [1]}, 4: None}
    async with database.begin() as session:
        collection = await AsyncCollectionRepository(session).create(uuid4().hex, DIMENSION)
        documents = AsyncDocumentRepository(session, collection)
        await documents.upsert(
            {"id": str(n), "content": "text", "embedding": vectors[n], "meta": {"a": {"b": texts.get(n % 20, n % 20)}}}
            for n in range(1_000)
        )
        before = [hit.entity.id for hit in await documents.nearest(vectors[0], exact=True, where={"a.b": 7})]
    matching = """metadata @> '{"a": {"b": 7}}'"""
    scattered = await pages(database, collection.partition, matching)
    builder = AsyncIndexBuilder(database.engine, collection)
    await builder.create()
    after = await builder.cluster("a.b", maintenance_work_mem="65MB")
    assert states(after) == {"embedding": "valid", "metadata": "valid", "text": "valid"} | states(after)
    assert not any("order" in status.name for status in after)
    assert 3 * await pages(database, collection.partition, matching) < scattered
    async with database.begin() as session:
        documents = AsyncDocumentRepository(session, collection)
        assert await documents.count() == 1_000
        assert [hit.entity.id for hit in await documents.nearest(vectors[0], where={"a.b": 7})] == before


async def test_a_malformed_key_is_refused_before_the_server_is_asked(database, fill):
    collection = await fill(None, rows=1)
    with pytest.raises(InvalidFilter, match="on each side of every dot"):
        await AsyncIndexBuilder(database.engine, collection).cluster("a..b")


async def test_a_key_that_no_row_has_is_refused_before_the_table_is_written(database, fill):
    builder = AsyncIndexBuilder(database.engine, await fill(None, rows=1))
    with pytest.raises(ConfigurationError, match=r"^No row has the key 'a\.b', so there is nothing to cluster\."):
        await builder.cluster("a.b")
    await AsyncIndexBuilder(database.engine, await fill(None, rows=0)).cluster("a.b")


async def test_the_rows_of_a_model_in_the_order_of_a_column(database, vectors):
    class Own(DeclarativeBase):
        pass

    class Item(Own):
        __tablename__ = f"items_{uuid4().hex[:8]}"
        __table_args__ = (HNSW().index("embedding"),)
        id = mapped_column(Integer, primary_key=True)
        tenant = mapped_column("Tenant", Text)
        embedding = mapped_column(Vector(DIMENSION))

    class Special(Item):
        __tablename__ = f"{Item.__tablename__}_special"
        id = mapped_column(ForeignKey(Item.id), primary_key=True)
        kind = mapped_column(Text)

    async with database.begin() as session:
        await session.execute(CreateTable(Item.__table__))
        rows = ({"id": n, "tenant": f"t{n % 20}", "embedding": vectors[n]} for n in range(1_000))
        await AsyncRepository(session, Item).upsert(rows)
    scattered = await pages(database, Item.__tablename__, "\"Tenant\" = 't7'")
    builder = AsyncIndexBuilder(database.engine, Item)
    await builder.cluster(Item.tenant)
    assert 3 * await pages(database, Item.__tablename__, "\"Tenant\" = 't7'") < scattered
    with pytest.raises(ConfigurationError, match="A metadata key needs a JSONB attribute"):
        await builder.cluster("tenant")
    with pytest.raises(ConfigurationError, match=f"kind is not in {Item.__tablename__}, which has the vector index"):
        await AsyncIndexBuilder(database.engine, Special).cluster(Special.kind)
