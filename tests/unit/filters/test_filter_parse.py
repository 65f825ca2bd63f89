"""What the parser makes of a filter, and that everything else is an InvalidFilter that names the place."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings, strategies as st

from rowspace.errors import InvalidFilter
from rowspace.filters import parse
from rowspace.filters._conditions import And, Compare, EqualArray, Exists, HasAny, Like, Not, OneOf, Or

A, B = ("a",), ("b",)


class Color(StrEnum):
    RED = "red"


@pytest.mark.parametrize("empty", [None, {}, MappingProxyType({})])
def test_empty_filter_is_no_condition(empty: Any) -> None:
    assert parse(empty) is None


@pytest.mark.parametrize(
    ("filter_", "condition"),
    [
        ({"a": 1}, Compare(A, "==", 1)),
        ({"a": None}, Compare(A, "==", None)),
        ({"a": [1, ["x", None]]}, EqualArray(A, (1, ("x", None)))),
        ({"a": {"$eq": []}}, EqualArray(A, ())),
        ({"a": {"$ne": "x"}}, Not(Compare(A, "==", "x"))),
        ({"a": {"$ne": [1]}}, Not(EqualArray(A, (1,)))),
        ({"a": {"$gt": 1}}, Compare(A, ">", 1)),
        ({"a": {"$gte": 1}}, Compare(A, ">=", 1)),
        ({"a": {"$lt": 1}}, Compare(A, "<", 1)),
        ({"a": {"$lte": "m"}}, Compare(A, "<=", "m")),
        ({"a": {"$in": (1, None)}}, OneOf(A, (1, None))),
        ({"a": {"$in": {7}}}, OneOf(A, (7,))),
        ({"a": {"$nin": []}}, Not(OneOf(A, ()))),
        ({"a": {"$between": [1, 2.5]}}, And((Compare(A, ">=", 1), Compare(A, "<=", 2.5)))),
        ({"a": {"$exists": True}}, Exists(A)),
        ({"a": {"$exists": False}}, Not(Exists(A))),
        ({"a": {"$like": "x%"}}, Like(A, "x%", ignore_case=False)),
        ({"a": {"$ilike": r"\\"}}, Like(A, r"\\", ignore_case=True)),
        ({"a": {"$contains": 1}}, HasAny(A, (1,))),
        ({"a": {"$any": [1, 2]}}, HasAny(A, (1, 2))),
        ({"a": {"$all": [1, 2]}}, And((HasAny(A, (1,)), HasAny(A, (2,))))),
        ({"a": 1, "b": 2}, And((Compare(A, "==", 1), Compare(B, "==", 2)))),
        ({"a": {"$gt": 1, "$lt": 5}}, And((Compare(A, ">", 1), Compare(A, "<", 5)))),
        ({"$or": [{"a": 1}, {"b": 2}]}, Or((Compare(A, "==", 1), Compare(B, "==", 2)))),
        ({"$or": [{"a": 1}]}, Compare(A, "==", 1)),
        ({"b": 2, "$and": [{"a": 1}]}, And((Compare(B, "==", 2), Compare(A, "==", 1)))),
        ({"a": {"$or": [{"$lt": 1}, {"$gt": 5}]}}, Or((Compare(A, "<", 1), Compare(A, ">", 5)))),
        ({"a": {"$not": {"$gt": 5}}}, Not(Compare(A, ">", 5))),
        ({"$not": {"a": 1, "b": 2}}, Or((Not(Compare(A, "==", 1)), Not(Compare(B, "==", 2))))),
        ({"$not": {"$or": [{"a": {"$ne": 1}}, {"b": 2}]}}, And((Compare(A, "==", 1), Not(Compare(B, "==", 2))))),
        ({"a": {"$not": {"b": 1}}}, Not(Compare(("a", "b"), "==", 1))),
        ({"$not": [{"a": 1}, {"b": {"$ne": 2}}]}, And((Not(Compare(A, "==", 1)), Compare(B, "==", 2)))),
        ({"a": {"$not": [{"$gt": 5}, {"$lt": 1}]}}, And((Not(Compare(A, ">", 5)), Not(Compare(A, "<", 1))))),
        ({"$OR": [{"a": 1}, {"$NOT": {"b": 2}}]}, Or((Compare(A, "==", 1), Not(Compare(B, "==", 2))))),
        ({"$And": [{"a": 1}]}, Compare(A, "==", 1)),
    ],
)
def test_each_operator_becomes_its_condition(filter_: Any, condition: Any) -> None:
    assert parse(filter_) == condition


@pytest.mark.parametrize(
    ("filter_", "path"),
    [
        ({"a.b": 1}, ("a", "b")),
        ({"a": {"b": 1}}, ("a", "b")),
        ({"a": {"b.c": {"d": {"$eq": 1}}}}, ("a", "b", "c", "d")),
        ({r"a\.b.c": 1}, ("a.b", "c")),
        ({r"a\\.b": 1}, ("a\\", "b")),
        ({r"a\\\.b": 1}, ("a\\.b",)),
        ({r"\$a.\$b": 1}, ("$a", "$b")),
        ({"a$b": 1}, ("a$b",)),
        ({" a-b 'c\" ": 1}, (" a-b 'c\" ",)),
        ({"名前.é\n": 1}, ("名前", "é\n")),
    ],
)
def test_keys_become_paths(filter_: Any, path: tuple[str, ...]) -> None:
    assert parse(filter_) == Compare(path, "==", 1)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (date(2024, 2, 29), "2024-02-29"),
        (datetime(2024, 2, 29, 12, 30, tzinfo=UTC), "2024-02-29T12:30:00+00:00"),
        (time(12, 30), "12:30:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Decimal("1.50"), Decimal("1.50")),
        (Decimal("1e131071"), Decimal("1e131071")),
        (Decimal("0e999999999"), 0),
        (5e-324, 5e-324),
    ],
)
def test_values_become_what_json_stores(value: Any, stored: Any) -> None:
    condition = parse({"a": value})
    assert isinstance(condition, Compare)
    assert condition.value == stored
    assert type(condition.value) is type(stored)


def test_an_int_may_have_as_many_digits_as_numeric() -> None:
    condition = parse({"a": 10**131_072 - 1})
    assert isinstance(condition, Compare)
    assert isinstance(condition.value, int)
    assert condition.value + 1 == 10**131_072


def test_enum_members_and_true_keep_their_json_type() -> None:
    enum, boolean = parse({"a": Color.RED}), parse({"a": True})
    assert isinstance(enum, Compare)
    assert isinstance(boolean, Compare)
    assert type(enum.value) is str
    assert boolean.value is True


@pytest.mark.parametrize(
    ("filter_", "parts"),
    [
        ([], ("filter: got []", "expected a dict")),
        ("a", ("filter: got 'a'",)),
        ({"author": {"age": {"$gtt": 1}}}, ("filter.author.age.$gtt", "unknown operator", "Did you mean $gt?")),
        ({"$nor": [{"a": 1}]}, ("filter.$nor", "Did you mean $not?")),
        ({"a": {"$not_contains": "b"}}, ("filter.a.$not_contains", "Did you mean $not?")),
        ({"a": {"$regex": "b.*"}}, ("filter.a.$regex", "Did you mean $like?")),
        ({"a": {"$size": 2}}, ("filter.a.$size", "unknown operator '$size'. The operators are $eq")),
        ({"$eq": 1}, ("filter.$eq", "a key around the operator")),
        ({1: 2}, ("filter: got 1", "keys that are strings", "str()")),
        ({"a": {None: 2}}, ("filter.a: got None",)),
        ({"": 1}, ("filter['']", "a name on each side")),
        ({"a.": 1}, ("filter.a.: got 'a.'", "a name on each side")),
        ({"a..b": 1}, ("filter.a..b", r"\.")),
        ({"a\\b": 1}, ("a backslash only before",)),
        ({"a\\": 1}, ("a backslash only before",)),
        ({"a.$gt": 1}, ("filter.a.$gt", "and an operator in a dict")),
        ({"a\0": 1}, ("filter['a\\x00']", "NUL")),
        ({"a": "\0"}, ("filter.a", "NUL")),
        ({"a": {"$in": ["x", "\udc80"]}}, ("filter.a.$in[1]", "surrogates")),
        ({"\ud800": 1}, ("filter['\\ud800']", "surrogates")),
        ({"a": {}}, ("filter.a: got {}", "would match every row")),
        ({"$and": []}, ("filter.$and: got []", "one or more filters")),
        ({"$or": {"a": 1}}, ("filter.$or", "one or more filters")),
        ({"$or": [{"a": 1}, {}]}, ("filter.$or[1]: got {}",)),
        ({"$not": {}}, ("filter.$not: got {}",)),
        ({"$not": []}, ("filter.$not: got []",)),
        ({"$NOT": [{"a": 1}, 5]}, ("filter.$NOT[1]: got 5",)),
        ({"a": {"$not": 5}}, ("filter.a.$not: got 5", "$ne")),
        ({"a": {"$gt": 1, "b": 2}}, ("filter.a", "only operators or only keys", "Move $gt")),
        ({"a": {"$eq": {"b": 1}}}, ("filter.a.$eq: got {'b': 1}", "nested keys")),
        ({"a": [1, {"b": 1}]}, ("filter.a[1]",)),
        ({"a": object}, ("filter.a", "Convert it")),
        ({"a": b"x"}, ("filter.a: got b'x'",)),
        ({"a": {1, 2}}, ("filter.a: got {1, 2}", "Use $in")),
        ({"a": float("nan")}, ("filter.a: got nan", "finite")),
        ({"a": {"$lt": float("-inf")}}, ("filter.a.$lt: got -inf", "finite")),
        ({"a": Decimal("sNaN")}, ("filter.a", "finite")),
        ({"a": Decimal("1e131072")}, ("filter.a", "131,072 digits")),
        ({"a": Decimal("1e-16384")}, ("filter.a", "16,383 after")),
        ({"a": -(10**131_072)}, ("filter.a: got ", "int", "131,072 digits")),
        ({"a": {"$gt": None}}, ("filter.a.$gt: got None", "no order")),
        ({"a": {"$lte": True}}, ("filter.a.$lte: got True", "no order")),
        ({"a": {"$gt": [1]}}, ("filter.a.$gt: got [1]",)),
        ({"a": {"$in": "xy"}}, ("filter.a.$in: got 'xy'", "a list")),
        ({"a": {"$nin": [[1]]}}, ("filter.a.$nin[0]: got [1]",)),
        ({"a": {"$between": [1]}}, ("filter.a.$between", "two values")),
        ({"a": {"$between": [1, "x"]}}, ("filter.a.$between", "two numbers or two strings")),
        ({"a": {"$between": [1, None]}}, ("filter.a.$between[1]: got None",)),
        ({"a": {"$exists": 1}}, ("filter.a.$exists: got 1", "True or False")),
        ({"a": {"$like": 1}}, ("filter.a.$like: got 1", "a pattern")),
        ({"a": {"$like": "x\\"}}, ("filter.a.$like", "lone backslash")),
        ({"a": {"$ilike": "x" * 1001}}, ("filter.a.$ilike", "1,000 characters")),
        ({"a": {"$contains": [1]}}, ("filter.a.$contains", "$any or $all")),
        ({"a": {"$all": []}}, ("filter.a.$all", "at least one element")),
        ({"a": {"$any": 1}}, ("filter.a.$any: got 1", "a list")),
        ({"a b": {"$gt": None}}, ("filter['a b'].$gt",)),
    ],
)
def test_errors_name_place_value_and_fix(filter_: Any, parts: tuple[str, ...]) -> None:
    with pytest.raises(InvalidFilter) as caught:
        parse(filter_)
    message = str(caught.value)
    assert [part for part in parts if part not in message] == [], message


def nested(levels: int, *, key: str) -> dict[str, Any]:
    filter_: dict[str, Any] = {"a": 1}
    for _ in range(levels):
        filter_ = {key: [filter_] if key == "$and" else filter_}
    return filter_


@pytest.mark.parametrize("key", ["$and", "$not", "a"])
def test_nesting_has_a_limit(key: str) -> None:
    assert parse(nested(62, key=key)) is not None
    with pytest.raises(InvalidFilter, match="at most 64 levels"):
        parse(nested(64, key=key))


def test_long_paths_deep_lists_and_cycles_are_refused() -> None:
    cycle: dict[str, Any] = {}
    cycle["$not"] = cycle
    ring: list[Any] = []
    ring.append(ring)
    for filter_ in ({"a." * 64 + "a": 1}, cycle, {"a": ring}):
        with pytest.raises(InvalidFilter, match="levels"):
            parse(filter_)
    assert parse({"a." * 63 + "a": 1}) == Compare(("a",) * 64, "==", 1)


names = st.sampled_from(
    ["$eq", "$gt", "$in", "$nin", "$between", "$exists", "$like", "$and", "$or", "$not", "$all", "$"]
)
keys = names | st.text(max_size=4) | st.sampled_from(["a", "a.b", ".", "\\", "$"])
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.binary(max_size=2)
    | st.decimals() | st.dates() | st.uuids() | st.complex_numbers() | st.just(object())
)  # fmt: skip
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | st.integers() | st.none(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300)
@given(st.dictionaries(keys, anything, max_size=3) | anything)
def test_whatever_comes_in_only_invalid_filter_goes_out(filter_: Any) -> None:
    try:
        condition = parse(filter_)
    except InvalidFilter as error:
        assert str(error).startswith("filter")  # noqa: PT017
    else:
        assert (condition is None) == (not filter_)
