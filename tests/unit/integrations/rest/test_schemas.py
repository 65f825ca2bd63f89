"""The schemas that pydantic cannot make say what the library takes."""

from __future__ import annotations

import jsonschema
import pytest
from pydantic import TypeAdapter, ValidationError

from rowspace.integrations.rest.schemas import Filter, Metadata, arguments

FILTER, METADATA = TypeAdapter(Filter), TypeAdapter(Metadata)


def fits(adapter, value):
    return jsonschema.Draft202012Validator(adapter.json_schema()).is_valid(value)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"year": 2020, "kind": None, "a.b": "c", r"a\.b": True},
        {"year": {"$gte": 2020, "$lt": 2030}},
        {"tags": {"$contains": "a"}, "kind": {"$in": ["a", "b"]}},
        {"$or": [{"a": 1}, {"b": {"$exists": False}}]},
        {"$not": {"a": {"$like": "a%"}}},
        {"$not": [{"a": 1}, {"b": 2}]},
        {"a": {"b": {"$between": [1, 2]}}},
    ],
    ids=str,
)
def test_filters(value):
    assert fits(FILTER, value)
    assert FILTER.validate_python(value) == value


@pytest.mark.parametrize(
    "value",
    [{"a": {"$unknown": 1}}, {"": 1}, {"a..b": 1}, {"$or": []}, {"a": {}}, {"a": {"$between": [1]}}, {"a\0": 1}],
    ids=str,
)
def test_what_no_filter_is(value):
    assert not fits(FILTER, value)


@pytest.mark.parametrize("value", [{"$AND": [{"a": 1}]}, {"a": {"$not": [{"$gt": 1}, {"$lt": 0}]}}], ids=str)
def test_arrays_of_conditions_wherever_the_library_takes_them(value):
    assert FILTER.validate_python(value) == value


@pytest.mark.parametrize("value", [{"a": [{"b": 1}]}, {"a": {"$in": [[1]]}}, {"$and": [{"a": [[1]]}]}], ids=str)
def test_arrays_hold_plain_values(value):
    with pytest.raises(ValidationError, match="array"):
        FILTER.validate_python(value)


def test_metadata():
    assert fits(METADATA, {"a": {"b": [1, {"c": "茶"}]}})
    assert not fits(METADATA, {"a": "\0"})
    assert not fits(METADATA, {"a\0": 1})
    assert not fits(METADATA, [])


def test_what_a_docstring_says_of_each_argument():
    first = """One.

    Args:
        a: the first,
            on two lines.
        b: the second.

    Raises:
        Error: never.
    """
    second = """Two.

    Args:
        b: not this.
        c: the third.
    """
    assert arguments(first, None, second) == {
        "a": "the first, on two lines.", "b": "the second.", "c": "the third."
    }  # fmt: skip
