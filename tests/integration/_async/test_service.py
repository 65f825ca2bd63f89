"""The service of documents: what is embedded, what is committed, what is counted."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import event

from rowspace import AsyncDocumentService, DocumentIn, LoadReport, SearchRequest
from rowspace.errors import (
    CollectionExists,
    CollectionNotFound,
    ConfigurationError,
    DimensionMismatch,
    EmbedderMismatch,
    InvalidRow,
    InvalidText,
)
from rowspace.services._async import documents as counting
from rowspace.testing import HashingEmbedder


@pytest.fixture
async def service(database, embedder):
    service = AsyncDocumentService(database, embedder)
    await service.create_collection("news", 32)
    return service


TEXTS = {"db": "vector database", "pie": "apple pie with cinnamon", "中": "向量数据库的索引"}


def documents(texts=TEXTS, **metadata):
    return [{"id": id_, "content": content, "metadata": metadata} for id_, content in texts.items()]


async def test_create_a_collection(service, database):
    made = await service.create_collection("more", distance="l2", index=None, metadata={"a": 1})
    assert (made.dimension, made.distance, made.index, made.embedder) == (32, "l2", {}, "hashing-32")
    assert [collection.name for collection in await service.collections()] == ["more", "news"]
    assert await service.create_collection("more", 5, exist_ok=True) == made
    with pytest.raises(CollectionExists):
        await service.create_collection("more", 5)
    with pytest.raises(ConfigurationError, match=r"needs a dimension\. Pass one, or use a service"):
        await AsyncDocumentService(database).create_collection("plain")
    assert (await service.rename_collection("more", "other")).name == "other"
    await service.drop_collection("other")
    assert [collection.name for collection in await service.collections()] == ["news"]


async def test_add_and_search(service):
    assert await service.add("news", documents(kind="x")) == LoadReport(3, inserted=3)
    hits = await service.search("news", "database of vectors", k=2)
    assert (hits[0].rank, hits[0].id, hits[1].rank) == (1, "db", 2)
    assert hits[0].content == "vector database"
    assert hits[0].metadata == {"kind": "x"}
    assert hits[0].similarity == pytest.approx(1 - hits[0].distance)
    assert hits[0].distance < hits[1].distance
    assert (await service.search("news", "数据库"))[0].id == "中"
    assert await service.search("news", SearchRequest(text="apple", filter={"kind": "y"})) == []
    vector = HashingEmbedder(32).embed_query("apple pie")
    assert (await service.search("news", np.array(vector), k=1, exact=True))[0].id == "pie"
    assert [found.id for found in await service.get("news", ["pie", "none", "db"])] == ["pie", "db"]


async def test_documents_without_an_id_are_known_by_their_text(service):
    assert await service.add("news", ["a", "b", "a"]) == LoadReport(3, inserted=2, duplicates=1)
    assert await service.add("news", iter(["b", "c"])) == LoadReport(2, inserted=1, unchanged=1)
    assert await service.count("news") == 3


async def test_texts_that_did_not_change_are_not_embedded_again(service, embedder):
    await service.add("news", documents())
    assert sorted(embedder.texts) == sorted(TEXTS.values())
    embedder.texts.clear()
    assert await service.add("news", documents()) == LoadReport(3, unchanged=3)
    assert embedder.texts == []
    changed = documents({**TEXTS, "pie": "cherry pie", "new": "new"})
    assert await service.add("news", changed) == LoadReport(4, inserted=1, updated=1, unchanged=2)
    assert sorted(embedder.texts) == ["cherry pie", "new"]
    assert (await service.search("news", "cherry"))[0].id == "pie"


async def test_metadata_that_changed_alone_is_written_without_an_embedding(service, embedder):
    await service.add("news", documents(day=dt.date(2024, 2, 29), n=1.0))
    embedder.texts.clear()
    assert await service.add("news", documents(n=1, day="2024-02-29")) == LoadReport(3, unchanged=3)
    assert await service.add("news", documents(day=dt.date(2024, 3, 1))) == LoadReport(3, updated=3)
    assert embedder.texts == []
    assert [found.metadata for found in await service.get("news", ["db"])] == [{"day": "2024-03-01"}]


async def test_a_collection_that_is_there_is_looked_up_alone(service, database):
    sent = []
    target = getattr(database.engine, "sync_engine", database.engine)
    event.listen(target, "before_cursor_execute", lambda *arguments: sent.append(arguments[2]))
    await service.create_collection("news", exist_ok=True)
    (looked_up,) = (statement for statement in sent if "FROM collections" in statement)
    assert "WHERE collections.name = " in looked_up


async def test_own_vectors_need_no_embedder(database, service, embedder):
    plain = AsyncDocumentService(database)
    rows = [DocumentIn(id=str(at), content="c", embedding=np.eye(32)[at]) for at in range(3)]
    assert await plain.add("news", rows) == LoadReport(3, inserted=3)
    assert (await plain.search("news", np.eye(32)[2], k=1))[0].id == "2"
    with pytest.raises(ConfigurationError, match="A text needs an embedder"):
        await plain.add("news", ["text"])
    with pytest.raises(ConfigurationError, match="A text needs an embedder"):
        await plain.search("news", "text")


async def test_another_embedder_is_refused(service, embedder):
    await service.add("news", ["a"])
    assert (await service.collections())[0].embedder == "hashing-32"
    embedder.name = "other"
    with pytest.raises(
        EmbedderMismatch,
        match="was filled by the embedder 'hashing-32', whose vectors cannot be compared with those of 'other'",
    ):
        await service.add("news", ["b"])
    with pytest.raises(EmbedderMismatch):
        await service.search("news", "a")
    assert embedder.texts == ["a"]


async def test_an_embedder_of_another_dimension_is_named(database, service):
    await service.create_collection("three", 3)
    with pytest.raises(DimensionMismatch, match=r"The embedder 'hashing-32' has 32 dimensions, .*'three' has 3"):
        await service.add("three", ["a"])


async def test_the_last_of_one_id_wins_across_batches(service, embedder):
    rows = [{"id": id_, "content": f"{id_}{at}"} for at, id_ in enumerate("abacbc")]
    seen = []
    report = await service.add("news", rows, batch_size=2, progress=seen.append)
    assert report == LoadReport(6, inserted=3, duplicates=3) == seen[-1]
    assert [one.received for one in seen] == [2, 4, 6]
    found = await service.get("news", ["a", "b", "c"])
    assert [document.content for document in found] == ["a2", "b4", "c5"]
    assert report.written == 3


def failing(after):
    for at in range(after):
        yield f"text {at}"
    message = "the source broke"
    raise RuntimeError(message)


async def test_an_error_in_the_middle_takes_everything_back(service):
    with pytest.raises(RuntimeError, match="the source broke"):
        await service.add("news", failing(5), batch_size=2)
    assert await service.count("news") == 0


async def test_committed_batches_are_kept(service):
    with pytest.raises(RuntimeError, match="the source broke"):
        await service.add("news", failing(5), batch_size=2, commit_batches=True)
    assert await service.count("news") == 4
    assert await service.add("news", (f"text {at}" for at in range(5)), commit_batches=True) == LoadReport(
        5, inserted=1, unchanged=4
    )


def lines(path):
    yield from Path(path).read_text("utf-8").splitlines()


async def test_a_source_that_breaks_is_not_an_unavailable_store(service):
    with pytest.raises(FileNotFoundError):
        await service.add("news", lines("/nowhere"))


class Unreachable(HashingEmbedder):
    def embed_documents(self, texts):
        message = "the model's host"
        raise ConnectionRefusedError(message)


async def test_an_embedder_that_cannot_be_reached_is_not_an_unavailable_store(database, service):
    with pytest.raises(ConnectionRefusedError, match="the model's host"):
        await AsyncDocumentService(database, Unreachable(32)).add("news", ["a"])


async def test_bad_rows_are_named_by_their_number_in_the_load(service, embedder):
    with pytest.raises(InvalidText, match=r"^Row 3 \(id 'x'\), content: PostgreSQL cannot store a NUL byte"):
        await service.add("news", ["a", "b", "c", {"id": "x", "content": "a\0"}, "d"], batch_size=2)
    with pytest.raises(InvalidRow, match=r"^Row 1, content: Field required"):
        await service.add("news", ["a", {"text": "b"}])
    with pytest.raises(DimensionMismatch, match=r"^Row 1 .*embedding: Expected 32 dimensions, got 1"):
        await service.add("news", ["a", {"content": "b", "embedding": [1]}])
    assert await service.count("news") == 0


async def test_a_text_too_long_for_its_index_is_named(service):
    await service.add("news", ["a"])
    words = " ".join(f"{at:09}" for at in range(90_000))
    long = {"id": "long", "content": words, "embedding": [1] * 32}
    with pytest.raises(
        InvalidText, match=r"^Row 1 \(id 'long'\), content: the text \(.*\) has more distinct words than"
    ):
        await service.add("news", [{"id": "b", "content": "short"}, long])
    assert await service.count("news") == 1


async def test_nul_is_stripped_when_asked_in_every_way_of_a_row(service):
    rows = [{"id": "x", "content": "a\0b", "metadata": {"k\0": "v\0", "n": n}} for n in (1, 2)]
    assert await service.add("news", rows[:1], strip_nul=True) == LoadReport(1, inserted=1)
    assert await service.add("news", rows[:1], strip_nul=True) == LoadReport(1, unchanged=1)
    assert await service.add("news", rows[1:], strip_nul=True) == LoadReport(1, updated=1)
    (found,) = await service.get("news", ["x"])
    assert (found.content, found.metadata) == ("ab", {"k": "v", "n": 2})


async def test_changing_and_deleting(service):
    await service.add("news", documents(kind="x", old=1))
    assert await service.update_metadata("news", {"kind": "y", "old": None}, where={"kind": "x"}) == 3
    assert await service.count("news", where={"kind": "y"}) == 3
    assert await service.count("news", where={"old": {"$exists": True}}) == 0
    assert await service.delete("news", ["db"]) == 1
    assert await service.delete("news", where={"kind": "y"}) == 2


async def test_what_is_not_there(service):
    for name in ("search", "add", "count"):
        arguments = ["none", *([[1.0]] if name != "count" else [])]
        with pytest.raises(CollectionNotFound, match="There is no collection 'none'"):
            await getattr(service, name)(*arguments)


async def count_indexes(database):
    indexes = "SELECT count(*) FROM pg_indexes WHERE tablename ~ '^documents_' AND indexname ~ '^ix_'"
    async with database.begin() as session:
        return (await (await session.connection()).exec_driver_sql(indexes)).scalar()


async def test_indexes_come_after_the_first_load(service, database):
    await service.add("news", ["a"], build_indexes=False)
    assert await count_indexes(database) == 0
    await service.create_collection("more")
    await service.add("more", ["a", "b"])
    assert await count_indexes(database) == 3
    await service.build_indexes("news")
    assert await count_indexes(database) == 6


@pytest.mark.parametrize("texts", [["text 0", "text 1"], ["text 0", "more"]], ids=["nothing new", "something new"])
async def test_indexes_come_after_the_end_of_a_load_that_was_interrupted(service, database, texts):
    with pytest.raises(RuntimeError, match="the source broke"):
        await service.add("news", failing(2), batch_size=2, commit_batches=True)
    assert await count_indexes(database) == 0
    await service.add("news", texts, commit_batches=True, build_indexes=False)
    assert await count_indexes(database) == 0
    await service.add("news", texts, commit_batches=True)
    assert await count_indexes(database) == 3


@pytest.mark.parametrize("one", ["a text", b"bytes", {"id": "a", "content": "a text"}])
@pytest.mark.parametrize("commit_batches", [False, True])
async def test_one_document_is_not_taken_for_its_letters_or_fields(service, one, commit_batches):
    with pytest.raises(ConfigurationError, match="Expected rows as a list or another iterable, got"):
        await service.add("news", one, commit_batches=commit_batches)
    assert await service.count("news") == 0


async def test_no_documents(service):
    assert await service.add("news", []) == LoadReport()
    assert await service.add("news", [], commit_batches=True) == LoadReport()


async def test_all_collections_are_counted_in_a_few_transactions(service, database, monkeypatch):
    monkeypatch.setattr(counting, "_COUNTED", 2)
    for name in ("a", "b", "empty"):
        await service.create_collection(name)
    await service.add("news", documents())
    await service.add("b", documents({"1": "one"}))
    begun, begin = [], type(database).begin
    monkeypatch.setattr(type(database), "begin", lambda self: begun.append(self) or begin(self))
    assert await service.counts() == {"a": 0, "b": 1, "empty": 0, "news": 3}
    # One for the names, and one for two collections.
    assert len(begun) == 3
