from __future__ import annotations

import datetime as dt
import struct
import uuid

import numpy as np
import pytest
from hypothesis import given, strategies as st
from sqlalchemy import Date, DateTime, Integer, Interval, Numeric, Text, Uuid

from rowspace.errors import DimensionMismatch, InvalidRow, RowspaceError
from rowspace.wire.decode import MatrixDecoder, key_decoder

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"


def row(vector: np.ndarray | None, *keys: bytes) -> bytes:
    body = b"" if vector is None else struct.pack(">hh", len(vector), 0) + vector.astype(">f4").tobytes()
    parts = [struct.pack(">hi", 1 + len(keys), -1 if vector is None else len(body)), body]
    return b"".join([*parts, *(struct.pack(">i", len(key)) + key for key in keys)])


def decoded(stream: bytes, sizes: list[int], dimension: int = 3) -> tuple[list[str], np.ndarray]:
    decoder = MatrixDecoder(dimension, [bytes.decode])
    keys: list[str] = []
    parts = []
    at = 0
    for size in [*sizes, len(stream)]:
        decoder.feed(stream[at : at + size])
        at += size
        found, vectors = decoder.take()
        keys += found
        parts.append(vectors)
    return keys, np.concatenate(parts)


@given(st.lists(st.text(max_size=8), max_size=6), st.lists(st.integers(0, 40), max_size=30))
def test_any_chunking_gives_the_same_rows(names: list[str], sizes: list[int]) -> None:
    vectors = np.arange(3 * len(names), dtype=np.float32).reshape(-1, 3)
    rows = [row(vector, name.encode()) for name, vector in zip(names, vectors, strict=True)]
    keys, matrix = decoded(HEADER + b"".join(rows) + TRAILER, sizes)
    assert keys == names
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous
    assert np.array_equal(matrix, vectors)


def test_rows_that_are_alike_and_rows_that_are_not() -> None:
    random = np.random.default_rng(1)
    lengths = [*[6] * 2_500, *random.integers(0, 9, 300).tolist(), *[0] * 40, *[7] * 200]
    names = [f"{number:09d}"[9 - length :] for number, length in enumerate(lengths)]
    vectors = random.standard_normal((len(names), 3)).astype(np.float32)
    stream = HEADER + b"".join(row(v, name.encode()) for v, name in zip(vectors, names, strict=True)) + TRAILER
    for sizes in ([], [1_000] * 200, [len(HEADER) + 29] * 100):
        keys, matrix = decoded(stream, sizes)
        assert keys == names
        np.testing.assert_array_equal(matrix, vectors)


@pytest.mark.parametrize("expected", [0, 1, 99, 100, 101, 5_000])
def test_more_rows_than_expected_and_fewer(expected: int) -> None:
    vectors = np.random.default_rng(2).standard_normal((100, 3)).astype(np.float32)
    rows = [row(vector, b"%d" % number) for number, vector in enumerate(vectors)]
    decoder = MatrixDecoder(3, [bytes.decode], expected=expected)
    for part in [HEADER, *rows[:60]]:
        decoder.feed(part)
    first = decoder.take()
    for part in [*rows[60:], TRAILER]:
        decoder.feed(part)
    keys, matrix = (
        a + b if isinstance(a, list) else np.concatenate([a, b]) for a, b in zip(first, decoder.take(), strict=True)
    )
    assert keys == [str(number) for number in range(100)]
    np.testing.assert_array_equal(matrix, vectors)
    np.testing.assert_array_equal(first[1], vectors[:60])


def test_what_was_fed_and_not_taken_is_counted() -> None:
    decoder = MatrixDecoder(3, [bytes.decode])
    whole = row(np.ones(3), b"a")
    decoder.feed(HEADER + whole + whole[:7])
    assert decoder.pending == len(HEADER) + len(whole) + 7
    decoder.take()
    assert decoder.pending == 7


@pytest.mark.parametrize("names", [["é", "ü", "ñ"] * 9, ["数", "据", "库"] * 9, ["a", "é"] * 9, [""] * 20])
def test_keys_that_are_not_ascii_or_are_empty(names: list[str]) -> None:
    stream = HEADER + b"".join(row(np.ones(3), name.encode()) for name in names) + TRAILER
    assert decoded(stream, [])[0] == names


@pytest.mark.parametrize("code", [">h", ">i", ">q"])
def test_whole_numbers_of_each_size(code: str) -> None:
    decoder = MatrixDecoder(1, [key_decoder(Integer())])
    decoder.feed(HEADER + b"".join(row(np.ones(1), struct.pack(code, number)) for number in range(-20, 20)) + TRAILER)
    assert decoder.take()[0] == list(range(-20, 20))


def test_several_keys_are_a_tuple() -> None:
    decoder = MatrixDecoder(1, [key_decoder(Integer()), key_decoder(Uuid())])
    name = uuid.uuid4()
    rows = [row(np.array([number + 0.5]), struct.pack(">q", -number), name.bytes) for number in (2, 3)]
    decoder.feed(HEADER + b"".join(rows) + TRAILER)
    keys, matrix = decoder.take()
    assert keys == [(-2, name), (-3, name)]
    assert matrix.tolist() == [[2.5], [3.5]]


@pytest.mark.parametrize(("vector", "found"), [(None, "none"), (np.ones(4), "one of 4 dimensions")])
def test_another_dimension_is_named(vector: np.ndarray | None, found: str) -> None:
    with pytest.raises(DimensionMismatch, match=f"3 dimensions in each row, got {found}"):
        decoded(HEADER + row(np.ones(3), b"a") + row(vector, b"b") + TRAILER, [])


def test_another_stream_is_refused() -> None:
    with pytest.raises(RowspaceError, match="binary COPY"):
        decoded(b"a,b\n" * 10, [])


def test_text_and_numbers_are_read_in_binary_and_the_rest_as_text() -> None:
    assert key_decoder(Text())("é".encode()) == "é"
    assert key_decoder(Integer())(b"\xff\xff") == -1
    assert key_decoder(Numeric()) is None


def test_times_are_read_in_binary_whatever_their_style_as_text() -> None:
    assert key_decoder(Date())(struct.pack(">i", -1)) == dt.date(1999, 12, 31)
    assert key_decoder(DateTime(timezone=True))(struct.pack(">q", 1)) == dt.datetime(
        2000, 1, 1, microsecond=1, tzinfo=dt.UTC
    )
    # As drivers have it, a year of months is one of 365 days, and a month one of 30.
    assert key_decoder(Interval())(struct.pack(">qii", 5_000_000, 3, -14)) == dt.timedelta(3 - 365 - 2 * 30, 5)
    for months, days in ((12, 365), (23, 365 + 11 * 30)):
        assert key_decoder(Interval())(struct.pack(">qii", 0, 0, months)) == dt.timedelta(days)
    # Where there is no interval in the database, it is a time.
    assert key_decoder(Interval(native=False)) is None


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        (Date(), struct.pack(">i", 2**31 - 1)),
        (Date(), struct.pack(">i", 4_000_000)),
        (DateTime(), struct.pack(">q", -(2**63))),
        (Interval(), struct.pack(">qii", 2**63 - 1, 2**31 - 1, 2**31 - 1)),
    ],
)
def test_what_python_has_no_time_for_is_refused(type_, data) -> None:
    with pytest.raises(InvalidRow, match=r"that is infinite, or (outside the range of|too long for) Python"):
        key_decoder(type_)(data)
