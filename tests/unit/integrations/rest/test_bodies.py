"""Bodies are read strictly, and never more of them than the limits say."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from rowspace.errors import CollectionNotFound, InvalidRow
from rowspace.integrations.rest.bodies import LineReader, Meter, media_type, read_json
from rowspace.integrations.rest.errors import RequestFault


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("application/json", "application/json"),
        ("Application/JSON ; charset=utf-8", "application/json"),
        ("", ""),
        (None, ""),
    ],
)
def test_media_types(header, kind):
    assert media_type(header) == kind


@pytest.mark.parametrize("text", [b"", b"{", b"NaN", b"[Infinity]", b'"\\ud800"', b"\xff", b"[" * 300, b"9" * 5_000])
def test_what_is_no_json(text):
    with pytest.raises(RequestFault, match="not JSON") as raised:
        read_json(text)
    assert raised.value.status == 400


def test_json():
    for encoding in ("utf-8", "utf-8-sig"):
        assert read_json('{"a": [1, 1.5, null, "茶"]}'.encode(encoding)) == {"a": [1, 1.5, None, "茶"]}


@pytest.mark.parametrize("announced", [None, "10", "nonsense", "-5"])
def test_a_meter_counts_what_comes_whatever_was_announced(announced):
    meter = Meter(10)
    meter.announced(announced)
    assert meter.read(b"12345") == b"12345"
    meter.read(b"12345")
    with pytest.raises(RequestFault, match="10 bytes") as raised:
        meter.read(b"1")
    assert (raised.value.status, raised.value.headers) == (413, {"Connection": "close"})


@pytest.mark.parametrize("announced", ["11", "9" * 5_000])
def test_a_meter_believes_what_is_announced_and_too_much(announced):
    with pytest.raises(RequestFault):
        Meter(10).announced(announced)


def lines(*documents):
    return b"\n".join(json.dumps(document).encode() for document in documents)


def read(reader, *chunks):
    found = [document for chunk in chunks for document in reader.feed(chunk)]
    return [document.content for document in (*found, *reader.end())]


@pytest.mark.parametrize("size", [1, 2, 7, 1_000])
def test_lines_may_be_cut_anywhere(size):
    whole = lines({"content": "茶"}, {"content": "b"}) + b"\r\n\n  \n" + lines({"content": "c"})
    chunks = [whole[at : at + size] for at in range(0, len(whole), size)]
    assert read(LineReader(100), *chunks) == ["茶", "b", "c"]
    # A file may begin with a mark, as the command line takes it too.
    assert read(LineReader(100), b"\xef\xbb", b"\xbf" + chunks[0], *chunks[1:]) == ["茶", "b", "c"]


def test_a_line_that_is_too_long_is_refused_before_it_ends():
    line = lines({"content": "a"})
    assert read(LineReader(len(line)), line + b"\n", line) == ["a", "a"]
    with pytest.raises(RequestFault, match="Line 2 is longer than the maximum of 4 bytes"):
        list(LineReader(4).feed(b"\nabcde"))


def test_a_long_line_may_come_byte_by_byte():
    reader = LineReader(2**20)
    tracemalloc.start()
    assert not list(reader.feed(b" " * (2**20 - 64)))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    for _ in range(32):
        assert not list(reader.feed(b" "))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # With a copy of the line for each byte it took minutes, in which nobody else was served.
    assert peak - held < 2**19
    (document,) = reader.feed(b'{"content": "a"}\n')
    assert document.content == "a"


@pytest.mark.parametrize(("row", "line"), [(0, 1), (1, 4), (2, 5)])
def test_a_row_of_the_load_is_told_as_its_line(row, line):
    reader = LineReader(100)
    read(reader, b'{"content": "a"}\n\n\n{"content": "b"}\n{"content": "c"}')
    error = InvalidRow(f"Row {row} (id 'x'), metadata: no.").at("documents", row, "metadata", "a")
    with pytest.raises(RequestFault) as raised, reader.lines_named():
        raise error
    fault = raised.value
    assert str(fault) == f"Line {line} (id 'x'), metadata: no."
    assert (fault.status, fault.line, fault.pointer) == (422, line, "/metadata/a")


def test_what_is_no_row_is_told_as_it_is():
    reader = LineReader(100)
    for error in (CollectionNotFound("c"), InvalidRow("row").at("documents", 5), ValueError("other")):
        with pytest.raises(type(error)) as raised, reader.lines_named():
            raise error
        assert raised.value is error


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        (b'{"content": "a"}\n{broken\n', 400, "Line 2 is not JSON"),
        (b'{"content": "a"}\n\n{"content": 5}', 422, "Line 3, /content: "),
        (b'{"content": "a", "other": 1}', 422, "Line 1, /other: "),
        (b'[{"content": "a"}]', 422, "Line 1: "),
        (b'{"content": "a\\u0000"}', 422, "Line 1, /content: "),
        (b'{"content": "' + b"a" * 100 + b'"}\n', 413, "Line 1 is longer than the maximum of 100 bytes"),
        (b'{"content": "a"}\n' + b"a" * 101, 413, "Line 2 is longer"),
    ],
)
def test_a_line_at_fault_is_named(text, status, said):
    with pytest.raises(RequestFault) as raised:
        read(LineReader(100), text)
    assert raised.value.status == status
    assert str(raised.value).startswith(said)
