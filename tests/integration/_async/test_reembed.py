"""Re-embedding into another dimension: complete, resumable, without a search that fails meanwhile."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import text

from rowspace import HNSW, AsyncCollectionRepository, AsyncDatabase, AsyncDocumentService, AsyncReembedRepository
from rowspace.errors import ConfigurationError, DimensionMismatch, EmbedderMismatch, TransactionConflict
from rowspace.repositories import AsyncDocumentRepository, AsyncMatrixRepository
from rowspace.testing import HashingEmbedder

OLD, NEW = HashingEmbedder(16), HashingEmbedder(24)


@pytest.fixture
async def database(new_database, driver):
    async with AsyncDatabase.open(new_database().replace("+psycopg", f"+{driver}")) as opened:
        yield opened


@pytest.fixture
async def service(database):
    service = AsyncDocumentService(database, OLD)
    await service.create_collection("news", index="hnsw")
    await service.add("news", documents(range(40)))
    return service


def documents(numbers, word="text", **metadata):
    return [{"id": f"{at:03}", "content": f"{word} {at}", "metadata": {"n": at, **metadata}} for at in numbers]


async def stored(database):
    """Return content, metadata and embedding by id, as a reader finds them."""
    async with database.begin() as session:
        collection = await AsyncCollectionRepository(session).get("news")
        matrix = await AsyncMatrixRepository(session, collection).read()
        found = await AsyncDocumentRepository(session, collection).get(matrix.keys)
        return {
            one.id: (one.content, one.meta, vector.tolist()) for one, vector in zip(found, matrix.vectors, strict=True)
        }


def as_embedded(rows, embedder):
    vectors = {content: np.float32(embedder.embed_query(content)).tolist() for content, _, _ in rows.values()}
    return {id_: (content, meta, vectors[content]) for id_, (content, meta, _) in rows.items()}


async def tables(database):
    async with database.begin() as session:
        names = "SELECT relname::text FROM pg_class WHERE relname ~ '^(ix_|pk_)?documents_' ORDER BY 1"
        checks = "SELECT conname::text FROM pg_constraint WHERE contype = 'c' AND conrelid = 'documents_1'::regclass"
        return [*await session.scalars(text(names))], [*await session.scalars(text(checks))]


async def test_everything_is_as_before_but_the_embeddings(service, database):
    before, made = await stored(database), await tables(database)
    async with database.begin() as session:
        times = [*await session.execute(text("SELECT id, created_at, updated_at FROM documents ORDER BY id"))]
    seen = []
    info = await service.reembed("news", NEW, batch_size=15, progress=seen.append)
    assert (info.dimension, info.embedder, info.index["method"]) == (24, "hashing-24", "hnsw")
    assert await stored(database) == as_embedded(before, NEW)
    assert await tables(database) == made
    assert [(one.phase, one.done) for one in seen[:4]] == [(("embedding"), done) for done in (0, 15, 30, 40)]
    assert seen[-1].phase == "done"
    async with database.begin() as session:
        assert [*await session.execute(text("SELECT id, created_at, updated_at FROM documents ORDER BY id"))] == times
    renewed = AsyncDocumentService(database, NEW)
    assert (await renewed.search("news", "text 7", k=1, exact=True))[0].id == "007"
    assert (await renewed.add("news", documents(range(41)))).inserted == 1
    with pytest.raises(EmbedderMismatch):
        await service.search("news", "text 7")
    await renewed.drop_collection("news")


async def test_the_condition_of_a_partial_index_may_hold_a_percent_sign(database):
    service = AsyncDocumentService(database, OLD)
    await service.create_collection("sale", index=HNSW(where={"share": "50%"}))
    await service.add("sale", documents(range(20), share="50%"))
    info = await service.reembed("sale", NEW)
    assert (info.dimension, info.index["where"]) == (24, {"share": "50%"})
    assert await service.count("sale", where={"share": "50%"}) == 20


class Meddling(HashingEmbedder):
    """Does something else to the collection each time it embeds."""

    def __init__(self, dimension, *deeds):
        super().__init__(dimension)
        self.deeds, self.texts = list(deeds), []

    async def aembed_documents(self, texts):
        if self.deeds and len(texts) > 1:
            await self.deeds.pop(0)()
        self.texts += texts
        return super().embed_documents(texts)

    async def aembed_query(self, query):
        return super().embed_query(query)


async def test_what_is_written_meanwhile_is_taken_over(service, database):
    async def change():
        await service.add("news", documents([3, 30], "changed"))
        await service.add("news", documents([4, 31], day="later"))
        await service.delete("news", ["005", "032"])
        await service.add("news", documents([100, 101], "new"))
        await service.delete("news", where={"n": 100})

    async def again():
        await service.add("news", documents([2, 3], "changed again"))

    meddling = Meddling(24, change, again, change)
    await service.reembed("news", meddling, batch_size=10)
    assert meddling.deeds == []
    rows = await stored(database)
    assert rows == as_embedded(rows, NEW)
    assert sorted(rows) == [*(f"{at:03}" for at in range(40) if at not in {5, 32}), "101"]
    assert rows["003"][0] == "changed 3"
    assert (rows["002"][0], rows["101"][0], rows["004"][1]) == ("changed again 2", "new 101", {"n": 4, "day": "later"})


async def test_more_changes_than_a_batch_are_taken_over_before_the_swap(service):
    async def nothing():
        pass

    async def change():
        await service.add("news", documents(range(30), "changed"))

    seen = []
    # Of what has its new embedding by then, and needs another one: the swap itself would put that off.
    meddling = Meddling(24, nothing, nothing, nothing, change)
    await service.reembed("news", meddling, batch_size=10, progress=seen.append)
    assert [one.phase for one in seen].count("swapping") == 1


async def test_searches_go_on_and_find_the_same(service, database):
    """Between any two steps a search on another connection answers, by the old embeddings until the swap."""
    before = [hit.id for hit in await service.search("news", "text 11", k=5)]
    answers = []

    async def look():
        answers.append([hit.id for hit in await service.search("news", "text 11", k=5)])

    await service.reembed("news", Meddling(24, *[look] * 4), batch_size=10)
    assert answers == [before] * 4
    after = await AsyncDocumentService(database, NEW).search("news", "text 11", k=5)
    assert after[0].id == before[0] == "011"


async def test_an_interrupted_one_goes_on(service, database):
    async def stop():
        raise KeyboardInterrupt

    async def nothing():
        pass

    with pytest.raises(KeyboardInterrupt):
        await service.reembed("news", Meddling(24, nothing, nothing, stop), batch_size=10)
    await service.add("news", documents([1, 50], "meanwhile"))
    assert (await service.search("news", "text 7", k=1))[0].id == "007"
    with pytest.raises(ConfigurationError, match=r"is being re-embedded by 'hashing-24' \(24 dim.*'hashing-32' \(32\)"):
        await service.reembed("news", HashingEmbedder(32))
    rest = Meddling(24)
    await service.reembed("news", rest, batch_size=10)
    assert rest.texts == [*(f"text {at}" for at in range(20, 40)), "meanwhile 50", "meanwhile 1"]
    rows = await stored(database)
    assert rows == as_embedded(rows, NEW)
    assert (len(rows), rows["001"][0]) == (41, "meanwhile 1")


async def test_one_that_was_begun_can_be_abandoned_or_dropped(service, database):
    made = await tables(database)

    async def stop():
        raise KeyboardInterrupt

    async def begin():
        with pytest.raises(KeyboardInterrupt):
            await service.reembed("news", Meddling(24, stop))

    await begin()
    assert await tables(database) != made
    async with database.begin() as session:
        collection = await AsyncCollectionRepository(session).get("news")
        await AsyncReembedRepository(session, collection).abandon()
        await AsyncReembedRepository(session, collection).abandon()
    assert await tables(database) == made
    await service.add("news", documents(range(41)))
    await begin()
    with pytest.raises(Exception, match="documents_1 is being re-embedded"):
        async with database.begin() as session:
            await session.execute(text("TRUNCATE documents_1"))
    await service.drop_collection("news")
    async with database.begin() as session:
        assert not [*await session.scalars(text("SELECT 1 FROM pg_class WHERE relname ~ '^documents_'"))]


async def test_a_role_that_only_writes_goes_on_writing_and_keeps_its_rights(service, database):
    rights = "SELECT has_table_privilege('writer_1', 'documents_1', 'INSERT'), relrowsecurity FROM pg_class"
    async with database.begin() as session:
        for statement in (
            "CREATE ROLE writer_1",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON documents, collections, documents_1 TO writer_1",
            "ALTER TABLE documents_1 ENABLE ROW LEVEL SECURITY",
        ):
            await session.execute(text(statement))

    async def write():
        async with database.begin() as session:
            await session.execute(text("SET LOCAL ROLE writer_1"))
            await session.execute(text("UPDATE documents SET content = 'theirs' WHERE id = '001'"))

    try:
        await service.reembed("news", Meddling(24, write))
        rows = await stored(database)
        assert (rows["001"][0], rows) == ("theirs", as_embedded(rows, NEW))
        async with database.begin() as session:
            found = (await session.execute(text(f"{rights} WHERE relname = 'documents_1'"))).one()
        assert tuple(found) == (True, True)
    finally:
        async with database.begin() as session:
            await session.execute(text("DROP OWNED BY writer_1"))
            await session.execute(text("DROP ROLE writer_1"))


async def test_what_would_be_lost_is_refused(service, database):
    async with database.begin() as session:
        await session.execute(text("CREATE INDEX mine ON documents_1 (created_at)"))
        await session.execute(text("CREATE POLICY ours ON documents_1 USING (true)"))
    with pytest.raises(
        ConfigurationError, match=r"has objects that the new one would lose: index mine, policy ours\. Drop them"
    ):
        await service.reembed("news", NEW)
    assert (await service.collections())[0].dimension == 16


async def test_a_reader_that_does_not_end_puts_the_swap_off(service, database, monkeypatch):
    module = __import__(AsyncDocumentService.__module__.replace("documents", "reembedding"), fromlist=["x"])
    monkeypatch.setattr(module, "TRIES", 2)
    monkeypatch.setattr(module, "_PAUSE", 0)
    async with database.begin() as session:
        collection = await AsyncCollectionRepository(session).get("news")
        with pytest.raises(TransactionConflict, match="are ready, but the swap did not get its locks in 2 attempts"):
            await service.reembed("news", NEW)
        assert len(await AsyncDocumentRepository(session, collection).nearest(OLD.embed_query("text 1"), 5)) == 5
    assert (await service.reembed("news", NEW)).dimension == 24
    async with database.begin() as session:
        with pytest.raises(DimensionMismatch):
            await AsyncDocumentRepository(session, collection).nearest(NEW.embed_query("text 1"), 5)


async def test_the_same_dimension_and_another_index(service, database):
    other = HashingEmbedder(16)
    other.name = "other"
    info = await service.reembed("news", other, index="ivfflat")
    assert (info.dimension, info.embedder, info.index["method"]) == (16, "other", "ivfflat")
    assert (await service.reembed("news", HashingEmbedder(3_000), index="hnsw")).index["quantize"] == "halfvec"
    with pytest.raises(ConfigurationError, match="hnsw indexes at most 4000 dimensions"):
        await service.reembed("news", HashingEmbedder(5_000))
    assert (await service.reembed("news", HashingEmbedder(5_000), index=None)).index == {}


async def test_an_empty_collection_and_an_empty_id(database):
    service = AsyncDocumentService(database, OLD)
    await service.create_collection("news")
    assert (await service.reembed("news", NEW)).dimension == 24
    async with database.begin() as session:
        repository = AsyncDocumentRepository(session, await AsyncCollectionRepository(session).get("news"))
        await repository.upsert([{"id": "", "content": "nameless", "embedding": NEW.embed_query("nameless")}])
    await service.reembed("news", OLD)
    rows = await stored(database)
    assert (list(rows), rows) == ([""], as_embedded(rows, OLD))
