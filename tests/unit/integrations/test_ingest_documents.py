from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from rowspace.errors import InvalidRow
from rowspace.integrations._ingest.documents import Fields, Format, read
from rowspace.integrations._ingest.lines import repeated


def rows(text, format_=Format.JSONL, **fields):
    lines = (text if isinstance(text, bytes) else text.encode()).splitlines(keepends=True)
    found = read(lines, format_, Fields(**fields))
    return [dumped(one) for one in found]


def dumped(document):
    given = {} if document.embedding is None else {"embedding": list(document.embedding)}
    return document.model_dump(exclude_defaults=True, exclude={"embedding"}) | given


def fails(text, format_=Format.JSONL, **fields):
    with pytest.raises(InvalidRow) as caught:
        rows(text, format_, **fields)
    return str(caught.value)


def test_jsonl():
    text = '{"content": "one", "id": "a", "year": 2020}\n\n  {"content": "二", "metadata": {"k": [1]}, "year": 1}\r\n'
    assert rows(text) == [
        {"content": "one", "id": "a", "metadata": {"year": 2020}},
        {"content": "二", "metadata": {"k": [1], "year": 1}},
    ]


def test_named_fields():
    text = '{"body": "text", "isbn": 12, "v": [1, 2.5], "id": "kept", "content": "kept too"}'
    (row,) = rows(text, content="body", id="isbn", embedding="v")
    assert row["content"] == "text"
    assert row["id"] == "12"
    assert row["embedding"] == [1, 2.5]
    assert row["metadata"] == {"id": "kept", "content": "kept too"}


def test_what_search_prints_can_be_read():
    hit = {"rank": 1, "id": "a", "content": "one", "metadata": {"year": 2020}, "distance": 0.5}
    assert rows(json.dumps(hit)) == [
        {"content": "one", "id": "a", "metadata": {"year": 2020, "rank": 1, "distance": 0.5}}
    ]


CSV = '\ufeffid,content,year,ok\r\n1,"two\nlines, quoted ""so""",2020,true\r\n\r\n2,数据库,,x\r\n'


def test_csv():
    assert rows(CSV, Format.CSV) == [
        {"id": "1", "content": 'two\nlines, quoted "so"', "metadata": {"year": "2020", "ok": "true"}},
        {"id": "2", "content": "数据库", "metadata": {"year": "", "ok": "x"}},
    ]


def test_a_mark_of_byte_order_is_one_at_the_beginning_alone_and_cells_may_be_long():
    long = "x" * 200_000
    found = rows(f"\ufeffid,content\n\ufeffa,{long}\n", Format.CSV)
    assert found == [{"id": "\ufeffa", "content": long}]


def test_csv_with_types():
    assert [row["metadata"] for row in rows(CSV, Format.CSV, detect_types=True)] == [
        {"year": 2020, "ok": True},
        {"ok": "x"},
    ]


@pytest.mark.parametrize("cell", ["NaN", "Infinity", "1e999", "[1]", "null", "007", '"x"', "1" * 5_000])
def test_what_looks_almost_like_a_number_stays_text(cell):
    text = f"content\tcell\nx\t{cell}\n"
    assert [row["metadata"] for row in rows(text, Format.TSV, detect_types=True)] == [{"cell": cell.strip('"')}]


def test_a_whole_number_may_be_larger_than_any_float():
    cell = "1" * 400
    assert rows(f"content,n\nx,{cell}\n", Format.CSV, detect_types=True)[0]["metadata"] == {"n": int(cell)}


def test_csv_embedding():
    assert rows('content,v\nx,"[1, 2]"\n', Format.CSV, embedding="v")[0]["embedding"] == [1.0, 2.0]


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b"]), TEXTS)))
def test_jsonl_round_trip(metadata):
    text = "\n".join(json.dumps({"content": "x", **one}) for one in metadata)
    assert [row.get("metadata", {}) for row in rows(text)] == metadata


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"content": "ok"}\n{"content": ', "line 2: not JSON: Expecting value"),
        ('{"content": "ok"}\n\n[1]\n', "line 3: expected a JSON object, got '[1]'."),
        ('{"text": "a", "n": 1}', "line 1: there is no 'content', only 'text', 'n'. Name the field: --content FIELD."),
        ("{}", "line 1: there is no 'content', only nothing."),
        (
            '{"content": "a", "k": 1, "metadata": {"k": 2}}',
            "line 1: 'k' has one value in 'metadata' and another next to it.",
        ),
        ('{"content": "a\\u0000b"}', "line 1: a NUL byte in 'a\\x00b', which PostgreSQL cannot store."),
        ('{"content": "a", "k": [{"b\\u0000": 1}]}', "line 1: a NUL byte in 'b\\x00'"),
        ('{"content": "\\ud800"}', "line 1: "),
        ('{"content": "a", "x": NaN}', "line 1: "),
        ('{"content": "a", "x": 1e999}', "line 1: "),
        ("[" * 100_000, "line 1: not JSON"),
        (b'{"content": "ok"}\n{"content": "\xff"}', "line 2: not UTF-8: byte 0xff at 14."),
        (b"\x1f\x8b\x08\x00", "line 1: not UTF-8: byte 0x8b at 2. It is compressed. Decompress it first: gzip -dc."),
    ],
)
def test_bad_jsonl(text, message):
    assert fails(text).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('id,content\n1,"a\nb"\n2\n', "line 4: 1 cells under 2 column names."),
        ('id,content\n1,"a"b\n', "line 2: not CSV: "),
        (
            'id,content\n1,"a\n2,b\n3,c\n',
            "line 2: not CSV: a quote is not closed, so lines 2 to 4 (the last one) are",
        ),
        ('id,content\n1,"a', "line 2: not CSV: a quote is not closed, so this line is in one cell."),
        ("id,id\n", "line 1: more than one column is named 'id'. The first line must contain unique column names."),
        ("id,\n", "line 1: a column has no name. The first line must contain unique column names."),
    ],
)
def test_bad_csv(text, message):
    assert fails(text, Format.CSV).startswith(message)


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        ([1, 2], "line 2: Expected 3 dimensions, got 2"),
        ("x", "line 2: expected an embedding as a JSON array of numbers, got 'x'."),
        ([1, 2, None], "line 2: "),
        ({}, "line 2: "),
        (None, "line 2: 'v' is null."),
    ],
)
def test_bad_embedding(vector, message):
    text = '{"content": "x", "v": [1, 2, 3]}\n' + json.dumps({"content": "x", "v": vector})
    assert fails(text, embedding="v").startswith(message)


def test_the_dimension_of_the_collection_counts():
    assert fails('{"content": "x", "v": [1]}', embedding="v", dimension=2).startswith("line 1: Expected 2 dimensions")


def test_nul_can_be_left_to_the_service():
    assert rows('{"content": "a\\u0000b"}', strip_nul=True) == [{"content": "a\0b"}]


def test_lines_are_read_one_by_one():
    def lines():
        yield b'{"content": "one"}\n'
        message = "read too far"
        raise AssertionError(message)

    assert next(read(lines(), Format.JSONL, Fields())).content == "one"


def test_a_header_of_many_columns_is_read_once():
    compared = 0

    class Name(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other):
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    assert repeated([Name(f"c{number % 999}") for number in range(1_000)]) == ["c0"]
    # To count each name among all of them took half a minute for 20,000 columns.
    assert compared < 10


def test_a_table_may_have_many_columns():
    names = ["content", *(f"c{number}" for number in range(20_000))]
    lines = [",".join(names).encode() + b"\n", b"x" + b"," * 20_000 + b"\n"]
    (document,) = read(lines, Format.CSV, Fields())
    assert len(document.metadata) == 20_000


def test_a_message_names_some_of_many_fields():
    text = json.dumps({f"c{number}": 1 for number in range(10_000)})
    assert "'c18', 'c19' and 9,980 more. Name the field" in fails(text)
    assert len(fails(json.dumps({"k" * 5_000: 1}))) < 200


def test_the_same_value_twice_is_one():
    text = '{"content": "x", "k": 1, "metadata": {"k": 1, "l": 2}}'
    assert rows(text) == [{"content": "x", "metadata": {"k": 1, "l": 2}}]
