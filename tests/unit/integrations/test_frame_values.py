"""Arrow's values as Python's, and back from JSON."""

from __future__ import annotations

import datetime as dt
import re

import pyarrow as pa
import pytest
from sqlalchemy import Numeric

from rowspace.errors import InvalidRow
from rowspace.integrations._frames.columns import arrow_type
from rowspace.integrations._frames.values import array_of_json, is_text, plain, to_python

NOON = dt.datetime(2026, 1, 2, 12)  # noqa: DTZ001 -- Arrow's have no zone either


def test_moments_in_nanoseconds_are_text_where_they_have_some():
    whole = pa.array([NOON, None], pa.timestamp("ns"))
    assert to_python(whole) == [NOON, None]
    more = pa.array([1_767_355_200_000_000_001, None], pa.int64()).view(pa.timestamp("ns"))
    assert to_python(more) == ["2026-01-02T12:00:00.000000001", None]


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_text_is_text_however_it_is_laid_out(type_):
    assert is_text(type_)
    assert is_text(pa.dictionary(pa.int32(), type_))


def test_categories_in_nanoseconds_are_moments_of_pythons():
    categories = pa.array([NOON, None], pa.timestamp("ns")).dictionary_encode()
    assert plain(categories).equals(pa.array([NOON, None], pa.timestamp("us")))


@pytest.mark.parametrize(
    ("value", "type_", "message"),
    [
        ("soon", pa.int64(), "cannot be read as int64: "),
        ("soon", pa.float64(), "cannot be read as double: "),
        ("soon", pa.timestamp("us"), "cannot be read as timestamp[us]: "),
        ("soon", pa.date32(), "cannot be read as date32[day]: "),
        ("2026-01-02T12:00:00.5", pa.timestamp("s"), "cannot be read as timestamp[s]: "),
        ("soon", pa.time64("us"), "cannot be read as time64[us]: "),
        ("soon", pa.duration("ns"), "cannot be read as duration[ns]: 'soon' is not a duration such as PT1.5S."),
        (7, pa.string(), "cannot be read as string: "),
        ("soon", pa.dictionary(pa.int32(), pa.int64()), "cannot be read as int64: "),
    ],
    ids=str,
)
def test_what_is_no_value_of_a_type_is_said_once(value, type_, message):
    with pytest.raises(InvalidRow, match=re.escape(message)) as raised:
        array_of_json([value], type_)
    assert str(raised.value).count("cannot be read") == 1


def test_a_number_of_some_digits_has_none_behind_the_point():
    assert arrow_type(Numeric(10)) == pa.decimal128(10, 0)
