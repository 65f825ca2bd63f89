"""What a load of documents decides before any SQL: ids, what changed, what is embedded, what is refused."""

from __future__ import annotations

import datetime as dt
import hashlib
import math

import numpy as np
import pytest

from rowspace import DocumentIn, LoadReport
from rowspace.errors import DimensionMismatch, InvalidRow, InvalidText, InvalidVector
from rowspace.services.loading import Load, abatches, batches


def md5(text):
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def load(*given, strip_nul=False, dimension=2):
    return Load(strip_nul=strip_nul, progress=None).batch(list(given), dimension)


def test_documents_are_models_mappings_or_texts():
    batch = load(DocumentIn(content="a", id="1"), {"content": "b", "id": "2", "metadata": {"k": 1}}, "c")
    ids = list(batch.documents)
    assert ids[:2] == ["1", "2"]
    assert ids[2] == hashlib.sha256(b"c").hexdigest()[:32]
    assert batch.documents["2"].metadata == {"k": 1}


def test_the_same_text_without_an_id_is_one_document():
    assert len(load("a", "a", "b").documents) == 2


def test_the_last_of_one_id_counts():
    batch = load({"id": "1", "content": "old"}, {"id": "1", "content": "new"})
    assert batch.documents["1"].content == "new"
    assert batch.report(LoadReport(1, 1)) == LoadReport(2, inserted=1, duplicates=1)


def test_only_what_is_not_stored_is_embedded():
    batch = load(
        {"id": "same", "content": "a", "metadata": {"k": (1, dt.date(2024, 2, 29))}},
        {"id": "other metadata", "content": "b", "metadata": {"k": 2}},
        {"id": "other text", "content": "c"},
        {"id": "own vector", "content": "d", "embedding": [1, 2]},
        {"id": "new", "content": "e"},
    )
    batch.compare(
        {
            "same": (md5("a"), {"k": [1, "2024-02-29"]}),
            "other metadata": (md5("b"), {"k": 1}),
            "other text": (md5("?"), {}),
            "own vector": (md5("d"), {}),
        }
    )
    assert batch.to_embed() == {"other text": "c", "new": "e"}
    assert batch.metadata_changes() == {"other metadata": {"k": 2}}
    rows = {row["id"]: row["embedding"] for row in batch.rows({"other text": [3, 4], "new": [5, 6]})}
    assert {id_: list(embedding) for id_, embedding in rows.items()} == {
        "other text": [3, 4],
        "own vector": [1, 2],
        "new": [5, 6],
    }
    assert batch.report(LoadReport(3, inserted=1, updated=2)) == LoadReport(5, inserted=1, updated=3, unchanged=1)


def test_reports_of_a_load_add_up_and_are_told():
    seen = []
    loading = Load(strip_nul=False, progress=seen.append)
    for _ in range(2):
        batch = loading.batch(["a", "b"], 2)
        loading.done(batch.report(LoadReport(2, inserted=2 if not seen else 0)))
    assert seen == [LoadReport(2, inserted=2), LoadReport(4, inserted=2, duplicates=2)]


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"id": "1"}, InvalidRow, "Row 2, content: Field required, got {'id': '1'}."),
        ({"content": 5}, InvalidRow, "Row 2, content: Input should be a valid string, got 5."),
        ({"content": "a", "text": "b"}, InvalidRow, "Row 2, text: Extra inputs are not permitted, got 'b'."),
        ({"content": "a", "id": ""}, InvalidRow, "Row 2, id: String should have at least 1 character, got ''."),
        (5, InvalidRow, "Row 2, document: Input should be a valid dictionary or instance of DocumentIn, got 5."),
        ({"content": "a\0", "id": "x"}, InvalidText, "Row 2 (id 'x'), content: PostgreSQL cannot store a NUL byte"),
        ({"content": "a", "id": "x\0"}, InvalidText, r"Row 2 (id 'x\x00'), id: PostgreSQL cannot store a NUL byte"),
        ({"content": "a\ud800"}, InvalidText, "Row 2 (id None), content: the text holds a lone surrogate at index 1"),
        ({"content": "a", "metadata": {"k": ["\0"]}}, InvalidText, "Row 2 (id None), metadata: PostgreSQL cannot"),
        ({"content": "a", "metadata": {"k": math.nan}}, InvalidRow, "Row 2 (id None), metadata: Out of range float"),
        ({"content": "a", "metadata": {"k": {1}}}, InvalidRow, "Row 2 (id None), metadata: set {1} has no form in"),
        ({"content": "a", "embedding": [1]}, DimensionMismatch, "Row 2 (id None), embedding: Expected 2 dimensions"),
        ({"content": "a", "embedding": [1, math.nan]}, InvalidVector, "Row 2 (id None), embedding: A vector cannot"),
    ],
)
def test_what_cannot_be_stored_is_named_by_its_number_in_the_load(given, kind, message):
    loading = Load(strip_nul=False, progress=None)
    loading.done(loading.batch(["a"], 2).report(LoadReport(1, 1)))
    with pytest.raises(kind) as refused:
        loading.batch(["b", given], 2)
    assert str(refused.value).startswith(message)


def test_nul_is_stripped_everywhere_when_asked():
    batch = load({"id": "x\0", "content": "a\0b", "metadata": {"k\0": "\0v"}}, "c\0", strip_nul=True)
    assert batch.documents["x"].content == "ab"
    assert batch.documents["x"].metadata == {"k": "v"}
    assert list(batch.documents)[1] == hashlib.sha256(b"c").hexdigest()[:32]


def test_any_array_is_an_embedding():
    batch = load({"id": "x", "content": "a", "embedding": np.array([1, 2], np.float16)})
    assert batch.documents["x"].embedding.tolist() == [1.0, 2.0]


def test_batches_are_read_once():
    assert list(batches((str(at) for at in range(5)), 2)) == [["0", "1"], ["2", "3"], ["4"]]
    assert list(batches([], 2)) == []


@pytest.mark.parametrize("count", [0, 1, 2, 3])
async def test_async_batches(count):
    async def source():
        for at in range(count):
            yield str(at)

    expected = list(batches(map(str, range(count)), 2))
    assert [batch async for batch in abatches(source(), 2)] == expected
    assert [batch async for batch in abatches(map(str, range(count)), 2)] == expected
