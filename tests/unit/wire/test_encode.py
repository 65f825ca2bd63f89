"""The COPY BINARY stream, read back by a decoder that shares no code with the encoder."""

from __future__ import annotations

import datetime as dt
import enum
import json
import math
import struct
import uuid
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, strategies as st
from sqlalchemy import (
    CHAR,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Enum,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    Text,
    TypeDecorator,
    Uuid,
    cast,
    func,
    types,
)
from sqlalchemy.dialects.postgresql import ARRAY, BIT, JSON, JSONB

from rowspace import Bit, HalfVector, SparseVector, Vector
from rowspace.errors import DimensionMismatch, InvalidRow, InvalidText, InvalidVector
from rowspace.wire.encode import EncodedRows, encoder_of


class Moods(TypeDecorator):
    impl = ARRAY(Enum("good", name="mood", schema="own"))
    cache_ok = True

    def bind_expression(self, bindvalue):
        return cast(bindvalue, self.impl_instance)


class Summed(LargeBinary):
    """No decorator: a dialect that has a LargeBinary of its own makes one of it, which asyncpg's does."""

    def bind_expression(self, bindvalue):
        return func.md5(bindvalue)


def decode(stream):
    """Return the rows of a COPY BINARY stream: tuples of bytes and None."""
    assert stream[:19] == b"PGCOPY\n\xff\r\n\0" + bytes(8)
    at, rows = 19, []
    while (fields := int.from_bytes(stream[at : at + 2], "big", signed=True)) != -1:
        at, row = at + 2, []
        for _ in range(fields):
            length = int.from_bytes(stream[at : at + 4], "big", signed=True)
            at += 4
            row.append(None if length < 0 else stream[at : at + length])
            at += max(length, 0)
        rows.append(tuple(row))
    assert stream[at + 2 :] == b""
    return rows


def stream(encoders, rows, numbers=None):
    keys = [encoder.staged.name for encoder in encoders]
    return EncodedRows(encoders, rows, keys, (), numbers or range(len(rows)))


def encoded(type_, value, **options):
    encoder = encoder_of(Column("c", type_), **options)
    ((field,),) = decode(b"".join(stream([encoder], [{"c": value}])))
    return field


def test_values_as_parameters_are_those_of_the_stream():
    encoders = [encoder_of(Column(name, type_)) for name, type_ in (("a", Integer), ("b", Text), ("c", Vector(2)))]
    rows = [{"a": 1, "b": "", "c": [1, 2]}, {"a": -1, "b": None, "c": np.array([0.5, 3])}]
    size = len(b"".join(stream(encoders, rows)))
    given = stream(encoders, rows).values(size)
    assert [tuple(given[:3]), tuple(given[3:])] == decode(b"".join(stream(encoders, rows)))
    assert given[1::3] == [b"", None]
    assert stream(encoders, []).values(99) == []
    assert stream(encoders, rows).values(size - 1) is None


def test_values_that_are_too_many_are_not_encoded_to_the_end():
    rows = ({"a": "x" * 1_000} for _ in range(1_000))
    assert stream([encoder_of(Column("a", Text))], rows, numbers=range(1_000)).values(9_999) is None
    assert len(list(rows)) > 900


def refused(kind, type_, value, **options):
    with pytest.raises(kind) as error:
        encoded(type_, value, **options)
    return str(error.value)


# No surrogates, no NUL: what PostgreSQL stores.
storable = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | storable,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(storable, inner, max_size=3),
    max_leaves=8,
)
COLUMNS = {
    "t": (Text(), storable, lambda field: field.decode()),
    "s": (String(), storable, lambda field: field.decode()),
    "i2": (SmallInteger(), st.integers(-(2**15), 2**15 - 1), lambda field: struct.unpack(">h", field)[0]),
    "i4": (Integer(), st.integers(-(2**31), 2**31 - 1), lambda field: struct.unpack(">i", field)[0]),
    "i8": (BigInteger(), st.integers(-(2**63), 2**63 - 1), lambda field: struct.unpack(">q", field)[0]),
    "f8": (Double(), st.floats(allow_nan=False), lambda field: struct.unpack(">d", field)[0]),
    "b": (Boolean(), st.booleans(), lambda field: {b"\1": True, b"\0": False}[field]),
    "j": (JSON(), jsons.filter(lambda value: value is not None), json.loads),
    "jb": (JSONB(), jsons.filter(lambda value: value is not None), lambda field: json.loads(field.removeprefix(b"\1"))),
    "u": (Uuid(), st.uuids(), lambda field: uuid.UUID(bytes=field)),
    "y": (LargeBinary(), st.binary(), bytes),
}


@given(st.lists(st.fixed_dictionaries({name: st.none() | values for name, (_, values, _) in COLUMNS.items()})))
def test_what_goes_in_comes_out(rows):
    encoders = [encoder_of(Column(name, type_)) for name, (type_, _, _) in COLUMNS.items()]
    readers = {name: read for name, (_, _, read) in COLUMNS.items()}
    out = [
        {name: None if field is None else readers[name](field) for name, field in zip(COLUMNS, row, strict=True)}
        for row in decode(b"".join(stream(encoders, rows)))
    ]
    assert out == rows


@given(
    st.lists(st.recursive(st.sampled_from(["\x1e", "", 1]), lambda inner: st.lists(inner, max_size=3), max_leaves=4))
)
def test_json_may_hold_what_stands_between_values_that_are_encoded_together(values):
    rows = decode(b"".join(stream([encoder_of(Column("c", JSONB()))], [{"c": value} for value in values])))
    assert [json.loads(field.removeprefix(b"\1")) for (field,) in rows] == values


@pytest.mark.parametrize("none_as_null", [False, True])
def test_what_stands_for_json_null_is_none_where_it_is_a_number_to_sqlalchemy(monkeypatch, none_as_null):
    class Symbol(int):
        """As in SQLAlchemy 2.0."""

    null = Symbol(7)
    monkeypatch.setattr(types.JSON, "NULL", null)
    encoder = encoder_of(Column("c", JSONB(none_as_null=none_as_null)))
    rows = decode(b"".join(stream([encoder], [{"c": null}, {"c": 7}])))
    assert rows == [(b"\1null",), (b"\x017",)]


def test_each_field_of_an_interval_has_a_sign():
    span = dt.timedelta(days=-3, seconds=5, microseconds=7)
    assert encoded(Interval(), span) == b"-3 day +5 second +7 microsecond"
    assert encoded(ARRAY(Interval()), [span]) == b'{"-3 day +5 second +7 microsecond"}'


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
def test_vectors_are_binary(numbers):
    field = encoded(Vector(), numbers)
    assert struct.unpack(">HH", field[:4]) == (len(numbers), 0)
    assert np.frombuffer(field, ">f4", offset=4).tolist() == numbers


def test_the_other_vectors():
    assert encoded(HalfVector(2), [1, -2]) == bytes.fromhex("0002 0000 3c00 c000")
    assert encoded(Bit(3), "101") == bytes.fromhex("00000003 a0")
    assert encoded(SparseVector(3), {1: 1.0}) == bytes.fromhex("00000003 00000001 00000000 00000001 3f800000")


def test_a_collections_dimension_stands_in_for_the_columns():
    assert len(encoded(Vector(), [1, 2], dimension=2)) == 12
    assert refused(DimensionMismatch, Vector(), [1, 2], dimension=3) == (
        "Row 0, column 'c': Expected 3 dimensions, got 2."
    )
    assert len(encoded(Vector(2), [1, 2], dimension=3)) == 12


class Shout(TypeDecorator):
    impl = String
    cache_ok = True


class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"


@pytest.mark.parametrize(
    ("type_", "value", "ddl", "text"),
    [
        (Numeric(10, 3), Decimal("-1.250"), "NUMERIC(10, 3)", "-1.250"),
        (Enum(Mood, name="mood"), Mood.GOOD, "mood", "GOOD"),
        (ARRAY(Text), ['a"b', None, "ü,{}\\"], "TEXT[]", '{"a\\"b",NULL,"ü,{}\\\\"}'),
        (ARRAY(Integer), [[1, 2], [3, 4]], "INTEGER[]", "{{1,2},{3,4}}"),
        (ARRAY(LargeBinary), [b"\0'", b""], "BYTEA[]", '{"\\\\x0027","\\\\x"}'),
        (
            DateTime(timezone=True),
            dt.datetime(2024, 2, 29, 1, 2, 3, 4, dt.UTC),
            "TIMESTAMP WITH TIME ZONE",
            "2024-02-29 01:02:03.000004+00:00",
        ),
    ],
)
def test_what_has_no_binary_form_is_staged_as_text_and_cast(type_, value, ddl, text):
    encoder = encoder_of(Column("c", type_))
    assert (encoder.staged.staged_as, encoder.staged.cast_to) == ("TEXT", ddl)
    assert encoded(type_, value).decode() == text


@pytest.mark.parametrize(
    ("type_", "ddl"),
    [
        (CHAR(3), "BPCHAR"),
        (ARRAY(CHAR(3)), "BPCHAR[]"),
        (Enum("a", "b", name="e", native_enum=False), "TEXT"),
        (Shout(3), "TEXT"),
        (ARRAY(String(3, collation="C")), "TEXT[]"),
        (ARRAY(BIT(3)), "BIT VARYING[]"),
    ],
    ids=repr,
)
def test_no_cast_cuts_what_is_too_long(type_, ddl):
    # An explicit cast to varchar(3) cuts in silence, the assignment to the column does not.
    assert encoder_of(Column("c", type_)).staged.cast_to == ddl


def test_a_staged_type_has_no_collation_which_no_cast_takes():
    assert encoder_of(Column("c", String(3, collation="C"))).staged.staged_as == "VARCHAR(3)"


def test_text_that_is_too_long_is_named():
    assert encoded(String(2), "üü") == "üü".encode()
    assert refused(InvalidText, String(2), "üüü") == "Row 0, column 'c': expected at most 2 characters, got 3."


def test_bytes_and_uuids_are_binary():
    assert encoded(LargeBinary(), b"\0\\'\xff") == b"\0\\'\xff"
    assert encoded(LargeBinary(), memoryview(b"ab")) == b"ab"
    assert encoded(Uuid(as_uuid=False), str(uuid.UUID(int=5))) == uuid.UUID(int=5).bytes


def test_an_enum_of_a_translated_schema_is_cast_there():
    assert encoder_of(Column("c", Enum(Mood, name="mood")), schemas={None: "My"}).staged.cast_to == '"My".mood'
    own = Enum(Mood, name="mood", schema="own")
    assert encoder_of(Column("c", own), schemas={None: "My"}).staged.cast_to == "own.mood"
    assert encoder_of(Column("c", own), schemas={"own": "tenant"}).staged.cast_to == "tenant.mood"
    assert encoder_of(Column("c", ARRAY(Enum(Mood, name="mood"))), schemas={None: "My"}).staged.cast_to == '"My".mood[]'
    made = encoder_of(Column("c", Moods()), schemas={"own": "tenant"}).staged.value("staged")
    assert made == "CAST(staged::tenant.mood[] AS tenant.mood[])"


def test_what_is_around_a_value_is_around_one_of_its_type():
    assert encoder_of(Column("c", Summed())).staged.value("staged") == "md5(staged::BYTEA)"


# What cannot be stored


@pytest.mark.parametrize("type_", [Text(), String(5), ARRAY(Text), Enum("a\0b", name="e"), JSON(), JSONB()], ids=repr)
def test_a_nul_is_named_with_its_row(type_):
    value = ["a\0b"] if isinstance(type_, ARRAY | JSON) else "a\0b"
    message = refused(InvalidText, type_, value)
    assert message.startswith("Row 0, column 'c': ")
    assert "NUL" in message


@pytest.mark.parametrize("type_", [Text(), JSONB(), ARRAY(Text)], ids=repr)
def test_a_lone_surrogate_is_named_with_its_row(type_):
    value = ["a\ud800"] if isinstance(type_, ARRAY) else "a\ud800"
    message = refused(InvalidText, type_, value)
    assert message.startswith("Row 0, column 'c': ")
    assert "lone surrogate" in message


def test_the_letters_of_the_escape_are_no_nul():
    assert json.loads(encoded(JSONB(), {"a": "\\u0000"})[1:]) == {"a": "\\u0000"}


@pytest.mark.parametrize("value", [math.nan, math.inf, np.float32("nan"), Decimal("Infinity"), Decimal("sNaN")])
def test_json_has_no_nan(value):
    assert refused(InvalidRow, JSONB(), {"a": [value]}).startswith("Row 0, column 'c': ")


@pytest.mark.parametrize("text", ["1.10", "-0.1", "12345678901234567890", "1E+400", "5e-324", "1234567.12345678"])
def test_a_decimal_in_json_is_the_same_number_when_it_is_read(text):
    read = json.loads(encoded(JSONB(), {"price": Decimal(text)})[1:])["price"]
    assert Decimal(repr(read)) == Decimal(text)


@pytest.mark.parametrize("text", ["0.1234567890123456789", "12345678901234567.5", "1e-400", "1.7976931348623159e-300"])
def test_a_decimal_in_json_that_would_lose_digits_is_refused(text):
    message = refused(InvalidRow, JSONB(), {"kind": "tea", "price": {"net": Decimal(text)}})
    assert message.startswith(f"Row 0, column 'c': 'price': {Decimal(text)!r} has digits that would be lost")
    assert message.endswith("Pass text or a float.")


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", object(), {(1, 2): 3}])
def test_what_json_has_no_form_for_is_refused(value):
    assert refused(InvalidRow, JSONB(), {"a": value}).startswith("Row 0, column 'c': ")


def test_json_forms_are_those_that_filters_compare_with():
    value = {
        "date": dt.date(2024, 2, 29),
        "time": dt.datetime(2024, 2, 29, 1, tzinfo=dt.UTC),
        "uuid": uuid.UUID(int=5),
        "whole": Decimal("5.00"),
        "half": Decimal("0.5"),
        "numpy": np.float32(0.5),
        "array": np.arange(2),
        7: "key",
    }
    assert json.loads(encoded(JSONB(), value)[1:]) == {
        "date": "2024-02-29",
        "time": "2024-02-29T01:00:00+00:00",
        "uuid": "00000000-0000-0000-0000-000000000005",
        "whole": 5,
        "half": 0.5,
        "numpy": 0.5,
        "array": [0, 1],
        "7": "key",
    }


@pytest.mark.parametrize(
    ("type_", "value", "kind"),
    [
        (Text(), 5, InvalidText),
        (Integer(), 2**31, InvalidRow),
        (Integer(), 1.5, InvalidRow),
        (Integer(), "1", InvalidRow),
        (SmallInteger(), 40_000, InvalidRow),
        (Double(), "1", InvalidRow),
        (Boolean(), "false", InvalidRow),
        (Boolean(), 2, InvalidRow),
        (Vector(2), [1, math.nan], InvalidVector),
        (Vector(2), "[1,2]", InvalidVector),
        (ARRAY(Text), [object()], InvalidRow),
        (LargeBinary(), "text", InvalidRow),
        (Uuid(), "no uuid", InvalidRow),
        (Uuid(), 5, InvalidRow),
    ],
)
def test_a_value_of_the_wrong_type_is_named(type_, value, kind):
    encoders = [encoder_of(Column("id", Integer())), encoder_of(Column("c", type_))]
    with pytest.raises(kind, match=r"^Row 11 \(id 6\), column 'c': \S"):
        list(stream(encoders, [{"id": 5, "c": None}, {"id": 6, "c": value}], numbers=[10, 11]))


@pytest.mark.parametrize(
    ("width", "message"), [(0, "at least 1 dimension, got an empty one"), (16_001, "at most 16,000 dimensions")]
)
def test_vectors_that_the_server_would_refuse_are_named_where_many_are_encoded_at_once(width, message):
    rows = [{"c": np.zeros(width, np.float32)}] * 3
    with pytest.raises(InvalidVector, match=rf"^Row 0, column 'c': .*{message}"):
        list(stream([encoder_of(Column("c", Vector()))], rows))


@pytest.mark.parametrize(("type_", "value"), [(Integer(), 2**31), (Integer(), "1"), (Double(), "x")])
def test_a_number_that_does_not_fit_is_told_with_its_type(type_, value):
    ddl = {"Integer": "INTEGER", "Double": "DOUBLE PRECISION"}[type(type_).__name__]
    assert refused(InvalidRow, type_, value) == f"Row 0, column 'c': expected a value of {ddl}, got {value!r}."


def test_numpy_scalars_are_numbers():
    assert encoded(Integer(), np.int64(5)) == b"\0\0\0\5"
    assert encoded(Double(), np.float32(0.5)) == struct.pack(">d", 0.5)
    assert encoded(Boolean(), np.True_) == b"\1"
    assert encoded(Boolean(), 0) == b"\0"


def test_a_missing_column_is_named():
    with pytest.raises(InvalidRow, match=r"^Row 0, column 'c': is missing\.$"):
        list(stream([encoder_of(Column("c", Text()))], [{}]))


@pytest.mark.parametrize("size", [1, 100, 5_000, 400_000])
def test_blocks_are_of_about_the_same_size_whatever_the_rows(size):
    rows = [{"c": "x" * size}] * max(4, 2_000_000 // size)
    blocks = list(stream([encoder_of(Column("c", Text()))], rows))
    assert len(decode(b"".join(blocks))) == len(rows)
    inner = [len(block) for block in blocks[2:-2]]
    # No fewer than a row, and no more than is worth encoding together.
    assert all(size < block <= max(size + 6, 1 << 17) for block in inner)
    assert all(block > min((1 << 17) - size - 6, 500 * size) for block in inner)


def test_each_reading_encodes_anew():
    rows = stream([encoder_of(Column("c", Text()))], [{"c": "a"}, {"c": "b"}])
    assert b"".join(rows) == b"".join(rows)
