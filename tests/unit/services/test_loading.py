"""What a load of documents decides before any SQL: ids, what changed, what is embedded, what is refused."""

from __future__ import annotations

import datetime as dt
import hashlib
import math

import numpy as np
import pytest

from rowspace import DocumentIn, LoadReport, Reject
from rowspace.errors import ConfigurationError, DimensionMismatch, InvalidRow, InvalidText, InvalidVector
from rowspace.repositories.batches import atake, take
from rowspace.services.incoming import long_texts
from rowspace.services.loading import Load


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


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
            "same": (sha("a"), {"k": [1, "2024-02-29"]}),
            "other metadata": (sha("b"), {"k": 1}),
            "other text": (sha("?"), {}),
            "own vector": (sha("d"), {}),
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
        ({"content": "a", "id": "é" * 1301}, InvalidRow, f"Row 2 (id '{'é' * 79}), id: an id can have at most 2,600"),
        (5, InvalidRow, "Row 2, document: Input should be a valid dictionary or instance of DocumentIn, got 5."),
        ({"content": "a\0", "id": "x"}, InvalidText, "Row 2 (id 'x'), content: PostgreSQL cannot store a NUL byte"),
        ({"content": "a", "id": "x\0"}, InvalidText, r"Row 2 (id 'x\x00'), id: PostgreSQL cannot store a NUL byte"),
        (
            {"content": "a\ud800"},
            InvalidText,
            "Row 2 (id None), content: the text contains a lone surrogate at index 1",
        ),
        ({"content": "a", "metadata": {"k": ["\0"]}}, InvalidText, "Row 2 (id None), metadata: PostgreSQL cannot"),
        (
            {"content": "a", "metadata": {"k": math.nan}},
            InvalidRow,
            "Row 2 (id None), metadata: 'k' is nan, which",
        ),
        ({"content": "a", "metadata": {"k": {1}}}, InvalidRow, "Row 2 (id None), metadata: 'k' is {1}, which"),
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
    metadata = {"k\0": ["\0", {"x": "a\0b", "n": 1}], "kept": "\\u0000 in letters"}
    batch = load({"id": "x\0", "content": "a\0b", "metadata": metadata}, "c\0", strip_nul=True)
    assert batch.documents["x"].content == "ab"
    assert batch.documents["x"].metadata == {"k": ["", {"x": "ab", "n": 1}], "kept": "\\u0000 in letters"}
    assert list(batch.documents)[1] == hashlib.sha256(b"c").hexdigest()[:32]


def test_no_metadata_is_an_empty_object():
    batch = load({"id": "x", "content": "a", "metadata": None}, {"id": "y", "content": "a"})
    assert [document.metadata for document in batch.documents.values()] == [{}, {}]
    with pytest.raises(InvalidRow, match=r"Row 0, metadata: Input should be a valid dictionary, got \[\]"):
        load({"content": "a", "metadata": []})


def test_any_array_is_an_embedding():
    batch = load({"id": "x", "content": "a", "embedding": np.array([1, 2], np.float16)})
    assert batch.documents["x"].embedding.tolist() == [1.0, 2.0]


class Source:
    """Counts how far it was read."""

    def __init__(self, count):
        self.read, self._count = 0, count

    def __iter__(self):
        for at in range(1, self._count + 1):
            self.read = at
            yield str(at)

    async def __aiter__(self):
        for one in self:
            yield one


def test_nothing_is_read_ahead():
    source = Source(5)
    rows = iter(source)
    assert (take(rows, 2), source.read) == (["1", "2"], 2)
    assert (take(rows, 2), source.read) == (["3", "4"], 4)
    assert (take(rows, 2), take(rows, 2)) == (["5"], [])


async def test_nothing_is_read_ahead_of_an_async_source():
    source = Source(5)
    rows = aiter(source)
    assert (await atake(rows, 2), source.read) == (["1", "2"], 2)
    assert (await atake(rows, 2), source.read) == (["3", "4"], 4)
    assert (await atake(rows, 2), await atake(rows, 2)) == (["5"], [])


def test_bad_rows_are_handed_back_where_somebody_takes_them():
    rejects = []
    loading = Load(rejects=rejects.append)
    loading.done(loading.batch(["a"], 2).report(LoadReport(1, 1)))
    bad = [{"id": "x", "content": "\0"}, {"text": "y"}, {"content": "z", "embedding": [1, math.nan]}]
    batch = loading.batch(["b", *bad, "c"], 2)
    assert batch.report(LoadReport(2, 2)) == LoadReport(5, inserted=2, rejected=3)
    assert [(one.number, one.row) for one in rejects] == [(2, bad[0]), (3, bad[1]), (4, bad[2])]
    assert rejects[1] == Reject(3, "Row 3, content: Field required, got {'text': 'y'}.", bad[1])


def test_texts_that_come_again_under_another_id_are_counted():
    loading = Load()
    first = loading.batch([{"id": "1", "content": "a"}, {"id": "2", "content": "a"}, {"id": "3", "content": "b"}], 2)
    assert first.report(LoadReport(3, 3)).repeated_texts == 1
    again = loading.batch([{"id": "1", "content": "a"}, {"id": "4", "content": "b"}], 2)
    report = again.report(LoadReport(2, 1, 1))
    assert (report, report.repeated_texts) == (LoadReport(2, inserted=1, duplicates=1), 1)


ROWS = ["a", {"id": "b", "content": "b", "metadata": {"k": 1, "j": 2}}, {"content": "c", "embedding": [1, 2]}]


def signed(rows, size):
    loading = Load()
    for at in range(0, len(rows), size):
        loading.passed_over(loading.batch(rows[at : at + size], 2))
    return loading


def test_the_digest_does_not_depend_on_the_batches():
    assert signed(ROWS, 1).digest == signed(ROWS, 2).digest == signed(ROWS, 3).digest


@pytest.mark.parametrize(
    "rows",
    [
        ROWS[::-1],
        ROWS[:2],
        ["A", *ROWS[1:]],
        [ROWS[0], {**ROWS[1], "metadata": {"k": 1, "j": 3}}, ROWS[2]],
        [*ROWS[:2], {"content": "c", "embedding": [1, 3]}],
    ],
)
def test_a_load_is_continued_with_the_same_source_only(rows):
    before = signed(ROWS, 2)
    state = before.state(LoadReport(inserted=3))
    same = signed(ROWS, 1)
    same.continue_from(state, before.digest)
    assert same.report == LoadReport(3, inserted=3)
    with pytest.raises(ConfigurationError, match=r"^The first 3 documents differ from those that the interrupted load"):
        signed(rows, 2).continue_from(state, before.digest)


def test_a_long_text_that_holds_a_nul_is_not_asked_of_the_server():
    long = "x" * 60_000
    assert long_texts([long, f"{long}\0", {"content": long}, "short"]) == {0: long, 2: long}
