"""The repository of a collection's documents."""

from __future__ import annotations

import datetime as dt
from functools import partial

import pytest
from sqlalchemy import event, inspect, select, text

from rowspace import HNSW, AsyncCollectionRepository, AsyncDocumentRepository, Document
from rowspace.errors import ConfigurationError, DimensionMismatch, InvalidFilter, InvalidRow, InvalidText
from rowspace.results import LoadReport


def row(id_, x, **meta):
    return {"id": id_, "content": f"text {id_}", "embedding": [x, 0], "meta": meta}


@pytest.fixture
async def documents(session):
    """Four documents on a line: the distance of document n from the origin is n."""
    made = await AsyncCollectionRepository(session).create("news", 2, distance="l2", index=HNSW("l2"))
    repository = AsyncDocumentRepository(session, made)
    rows = [row("3", 3, kind="b"), row("1", 1, kind="a", n=1), row("4", 4, kind="b", tags=["x"]), row("2", 2, n=2)]
    assert await repository.upsert(rows) == LoadReport(4, inserted=4)
    return repository


def ids(hits):
    return [hit.entity.id for hit in hits]


@pytest.mark.parametrize("id_", [1, 1.5, None, b"bytes", "1\0", "\ud800"])
async def test_what_cannot_be_an_id_is_refused_on_every_driver(documents, id_):
    with pytest.raises(
        InvalidText, match="The id of a document must be text without NUL bytes and lone surrogates, got "
    ):
        await documents.get(["1", id_])
    with pytest.raises(InvalidText, match="The id of a document must be text"):
        await documents.delete(["1", id_])
    assert await documents.count() == 4


async def test_get_keeps_the_order_and_leaves_out_gaps(documents):
    assert [document.id for document in await documents.get(["3", "none", "1", "3"])] == ["3", "1", "3"]
    assert await documents.get([]) == []
    (document,) = await documents.get(["1"])
    assert (document.content, document.meta) == ("text 1", {"kind": "a", "n": 1})
    assert "embedding" in inspect(document).unloaded


async def test_upsert_replaces_content_metadata_and_embedding(documents, session):
    old = await session.scalar(select(Document).where(Document.id == "1"))
    session.expunge_all()
    changed = {"id": "1", "content": "new", "embedding": [9, 9], "meta": {"only": True}}
    assert await documents.upsert([changed, row("5", 5)]) == LoadReport(2, inserted=1, updated=1)
    (document,) = await documents.get(["1"])
    assert (document.content, document.meta) == ("new", {"only": True})
    assert document.created_at == old.created_at
    assert document.updated_at >= old.updated_at
    assert (await session.scalar(select(Document.embedding).where(Document.id == "1"))).tolist() == [9, 9]


async def test_metadata_may_be_left_out(documents):
    assert await documents.upsert([{"id": "5", "content": "c", "embedding": [5, 0]}]) == LoadReport(1, inserted=1)
    assert (await documents.get(["5"]))[0].meta == {}
    again = await documents.upsert([{"id": "1", "content": "c", "embedding": [1, 0]}])
    assert again == LoadReport(1, updated=1)
    assert (await documents.get(["1"]))[0].meta == {"kind": "a", "n": 1}


async def test_texts_of_any_script_come_back(documents):
    texts = ["数据库 与 向量", "emoji 🦆\u200d", "quotes ' \" \\ %s :x $1", "\x01\x7f\t\r\n", "é\u0301", ""]
    rows = [{"id": f"{at} {text}", "content": text, "embedding": [0, 1], "meta": {text: text}} for at, text in
            enumerate(texts)]  # fmt: skip
    await documents.upsert(rows)
    found = await documents.get([row["id"] for row in rows])
    assert [document.content for document in found] == texts
    assert [document.meta for document in found] == [{text: text} for text in texts]
    assert ids(await documents.nearest([0, 1], where={"数据库 与 向量": "数据库 与 向量"})) == ["0 数据库 与 向量"]


@pytest.mark.parametrize(
    ("bad", "kind", "message"),
    [
        ({"content": "a\0"}, InvalidText, "Row 2 (id 'x2'), column 'content': PostgreSQL cannot store a NUL byte"),
        ({"meta": {"a": ["\0"]}}, InvalidText, "Row 2 (id 'x2'), column 'metadata': PostgreSQL cannot store a NUL"),
        ({"embedding": [1, 2, 3]}, DimensionMismatch, "Row 2 (id 'x2'), column 'embedding': Expected 2 dimensions"),
        (
            {"meta": {"a": {1}}},
            InvalidRow,
            "Row 2 (id 'x2'), column 'metadata': 'a' is {1}, which has no",
        ),
    ],
)
async def test_a_bad_row_is_named(documents, bad, kind, message):
    rows = [row(f"x{at}", at) for at in range(4)]
    rows[2] |= bad
    with pytest.raises(kind) as refused:
        await documents.upsert(rows)
    assert str(refused.value).startswith(message)
    assert await documents.count() == 4


async def test_search_by_filter(documents):
    assert ids(await documents.nearest([0, 0])) == ["1", "2", "3", "4"]
    assert ids(await documents.nearest([0, 0], where={"kind": "b"})) == ["3", "4"]
    assert ids(await documents.nearest([0, 0], 1, where={"kind": {"$ne": "a"}})) == ["2"]
    assert ids(await documents.nearest([0, 0], where={"tags": {"$contains": "x"}}, max_distance=3.5)) == []
    assert ids(await documents.nearest([0, 0], where={"n": {"$gte": 2}}, with_embedding=True)) == ["2"]
    with pytest.raises(InvalidFilter):
        await documents.nearest([0, 0], where={"n": {"$gtt": 2}})


async def test_count_and_is_empty(documents, session):
    assert await documents.count() == 4
    assert await documents.count(where={"kind": "b"}) == 2
    assert not await documents.is_empty()
    other = AsyncDocumentRepository(session, await AsyncCollectionRepository(session).create("other", 2))
    assert await other.is_empty()
    assert await other.count() == 0


async def test_delete(documents):
    assert await documents.delete(["1", "none"]) == 1
    assert await documents.delete(where={"kind": "b"}) == 2
    assert await documents.count() == 1
    assert await documents.delete([]) == 0
    assert await documents.delete() == 0
    for wrong in ({"ids": ["2"], "where": {"n": 2}}, {"where": {}}):
        with pytest.raises(ConfigurationError, match="delete needs ids, or conditions that are not empty"):
            await documents.delete(**wrong)
    assert await documents.count() == 1


@pytest.mark.parametrize("held", [False, True])
async def test_keys_of_changed_rows_are_read_back_where_the_session_has_objects_alone(documents, session, engine, held):
    session.expunge_all()
    kept = (await documents.get(["3"])) if held else []
    sent, inner = [], getattr(engine, "sync_engine", engine)
    event.listen(inner, "before_cursor_execute", lambda *given: sent.append("RETURNING" in given[2]))
    assert await documents.update_metadata({"n": 5}, where={"kind": "b"}) == 2
    assert await documents.delete(where={"kind": "b"}) == 2
    assert sent == [held, held]
    assert [inspect(document).deleted for document in kept] == [True] * held


async def test_a_document_that_is_not_flushed_yet_is_known_to_be_deleted(documents, session):
    document = Document(collection_id=documents.collection.id, id="new", content="c", embedding=[1, 2], meta={"n": 9})
    session.add(document)
    assert await documents.delete(where={"n": 9}) == 1
    assert inspect(document).deleted


@pytest.mark.parametrize("one", [Document.id == "1", Document.id > "1", "id = 1"], ids=["equal", "greater", "text"])
async def test_one_condition_is_not_taken_for_none(documents, one):
    for call in (documents.count, documents.delete, partial(documents.update_metadata, {"n": 0})):
        with pytest.raises(ConfigurationError, match="Expected where as a list of conditions or a filter"):
            await call(where=one)
    assert await documents.count(where=[Document.id == "1"]) == 1


async def test_one_id_is_not_taken_for_its_letters(documents):
    await documents.upsert([{"id": "12", "content": "c", "embedding": [1, 2]}])
    for call in (documents.get, documents.delete):
        with pytest.raises(ConfigurationError, match=r"Expected ids as a list or another iterable, got str '12'"):
            await call("12")
    assert [document.id for document in await documents.get(["1", "2", "12"])] == ["1", "2", "12"]


async def test_update_metadata(documents):
    changes = {"kind": None, "n": 7, "at": dt.date(2024, 2, 29), "deep": {"kept": None}, "它": "它"}
    assert await documents.update_metadata(changes, where={"kind": {"$exists": True}}) == 3
    found = {document.id: document.meta for document in await documents.get(["1", "2", "4"])}
    new = {"n": 7, "at": "2024-02-29", "deep": {"kept": None}, "它": "它"}
    assert found == {"1": new, "2": {"n": 2}, "4": {**new, "tags": ["x"]}}
    assert await documents.update_metadata({"all": True}, where=None) == 4
    with pytest.raises(InvalidText, match="NUL"):
        await documents.update_metadata({"a": "\0"}, where=None)
    with pytest.raises(InvalidRow, match=r"^changes must be a mapping of keys to values, got list \[1\]\.$"):
        await documents.update_metadata([1], where=None)
    with pytest.raises(InvalidRow, match=r"^The metadata of '1' must be a mapping of keys to values, got str 'a'\.$"):
        await documents.replace_metadata({"2": {}, "1": "a"})
    await documents.replace_metadata({"2": {"all": True, "n": 3}, "nobody": {}})
    assert [document.meta for document in await documents.get(["2"])] == [{"all": True, "n": 3}]
    assert await documents.count(where={"all": True}) == 4


async def test_other_collections_are_left_alone(documents, session):
    other = AsyncDocumentRepository(session, await AsyncCollectionRepository(session).create("other", 2))
    await other.upsert([row("1", 1, kind="a"), row("9", 9, kind="b")])
    await documents.update_metadata({"kind": "c"}, where=None)
    await documents.delete(where={"kind": "c"})
    assert await documents.count() == 0
    assert {document.id: document.meta for document in await other.get(["1", "9"])} == {
        "1": {"kind": "a"},
        "9": {"kind": "b"},
    }


async def test_everything_is_the_callers_to_roll_back(documents, session):
    await session.commit()
    await documents.upsert([row("5", 5)])
    await documents.delete(["1"])
    await documents.update_metadata({"a": 1}, where=None)
    await session.rollback()
    await session.refresh(documents.collection)
    assert await documents.count() == 4
    assert await documents.count(where={"a": 1}) == 0
    assert await session.scalar(text("SELECT count(*) FROM documents WHERE id = '1'")) == 1
