"""Which comparisons of a filter an index on a metadata key serves, and what is left of it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from rowspace.errors import InvalidFilter
from rowspace.filters import DOCUMENT, PATH, KeyTest, filter_parts, filter_values, key_path, parameters_of

KEYS = tuple(map(key_path, ["year", "by.name"]))


def number(comparison, name, path=("year",)):
    return KeyTest(path, comparison, is_text=False, name=f"rowspace_key_{name}")


def test_comparisons_are_taken_out_of_a_conjunction():
    filter_ = {"year": {"$gte": 2020, "$lt": 2024.5}, "by": {"name": "Ada"}, "lang": "en", "n": {"$gt": 1}}
    parts = filter_parts(filter_, KEYS)
    name = KeyTest(("by", "name"), "==", is_text=True, name="rowspace_key_2")
    left = filter_values({"lang": "en", "n": {"$gt": 1}})
    assert parts == {number(">=", 0): "2020", number("<", 1): "2024.5", name: "Ada", **left}
    assert parameters_of(parts) == {
        "rowspace_key_0": "2020", "rowspace_key_1": "2024.5", "rowspace_key_2": "Ada", **left
    }  # fmt: skip
    assert [*parts][3:] == [DOCUMENT, PATH]


def test_nothing_may_be_left():
    assert filter_parts({"year": {"$between": [1, 2]}}, KEYS) == {number(">=", 0): "1", number("<=", 1): "2"}
    assert filter_parts({}, KEYS) == filter_parts(None, KEYS) == {}


def test_the_whole_filter_may_be_left():
    filter_ = {"year": {"$gte": 2020}, "lang": "en"}
    assert filter_parts(filter_, KEYS, whole=True) == {number(">=", 0): "2020", **filter_values(filter_)}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (10**30, "1" + "0" * 30),
        # More digits than Python writes of a whole number.
        (10**5_000, "1" + "0" * 5_000),
        (Decimal("1E+400"), "1E+400"),
        (0.1, "0.1"),
        (-0.0, "-0.0"),
    ],
    ids=["whole", "huge", "Decimal", "float", "minus zero"],
)
def test_numbers_are_written_as_in_a_document(value, text):
    assert filter_parts({"year": value}, KEYS) == {number("==", 0): text}


@pytest.mark.parametrize(
    "operand",
    [None, True, [1], "x" * 200, {"$ne": 1}, {"$in": [1, 2]}, {"$not": {"$gt": 1}}, {"$exists": True}, {"$like": "a%"}],
    ids=str,
)
def test_what_the_index_does_not_serve_is_left(operand):
    assert filter_parts({"year": operand}, KEYS) == filter_values({"year": operand})
    either = {"$or": [{"year": 1}, {"year": operand}]}
    assert filter_parts(either, KEYS) == filter_values(either)


def test_one_filter_under_several_keys():
    for keys in (KEYS, (), (("lang",),), KEYS):
        parts = filter_parts({"year": 1, "lang": "en"}, keys)
        assert [part.path for part in parts if isinstance(part, KeyTest)] == [
            path for path in (("year",), ("lang",)) if path in keys
        ]


@pytest.mark.parametrize("filter_", [{1: "a"}, {"year": {1: 2}}, {("by", "name"): 1}], ids=str)
def test_a_key_that_is_no_text_is_named(filter_):
    with pytest.raises(InvalidFilter, match="expected keys that are strings"):
        filter_parts(filter_, KEYS)
