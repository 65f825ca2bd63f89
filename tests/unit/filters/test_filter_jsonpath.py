"""The documents and the jsonpaths, letter by letter; what PostgreSQL makes of them is an integration test."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from rowspace.filters import Condition, parse, to_containment, to_jsonpath
from rowspace.filters._like import to_regex
from rowspace.filters._values import to_json


def condition_of(filter_: dict[str, Any]) -> Condition:
    condition = parse(filter_)
    assert condition is not None
    return condition


@pytest.mark.parametrize(
    ("filter_", "predicate"),
    [
        ({"a.b": 1}, 'exists($."a"."b" ? (@ == 1))'),
        ({"a": {"$lte": -2.5}}, 'exists($."a" ? (@ <= -2.5))'),
        ({"a": True}, 'exists($."a" ? (@ == true))'),
        ({"a": None}, 'exists($."a" ? (@ == null))'),
        ({'a"\\.b': 'c"\\\n'}, 'exists($."a\\".b" ? (@ == "c\\"\\\\\\n"))'),
        ({"a": {"$in": ["x", 1]}}, 'exists($."a" ? (@ == "x" || @ == 1))'),
        ({"a": {"$in": []}}, 'exists($."a" ? (1 == 0))'),
        ({"a": {"$any": ["x", 1]}}, 'exists($."a"[*] ? (@ == "x" || @ == 1))'),
        ({"a": {"$exists": True}}, 'exists($."a")'),
        ({"a": {"$exists": False}}, '!exists($ ? (exists($."a")))'),
        ({"a": []}, 'exists($."a" ? (@.size() == 0))'),
        ({"a": [1, ["x"]]}, 'exists($."a" ? (@.size() == 2 && @[0] == 1 && @[1].size() == 1 && @[1][0] == "x"))'),
        ({"a": {"$ilike": "x.%"}}, 'exists($."a" ? (@ like_regex "^x\\\\..*$" flag "is"))'),
        ({"a": {"$not": {"$gt": 1}}}, '!exists($ ? (exists($."a" ? (@ > 1))))'),
        (
            {"$or": [{"a": 1}, {"b": {"$gt": 2, "$lt": 4}}]},
            'exists($."a" ? (@ == 1)) || (exists($."b" ? (@ > 2)) && exists($."b" ? (@ < 4)))',
        ),
    ],
)
def test_jsonpath(filter_: dict[str, Any], predicate: str) -> None:
    assert to_jsonpath(condition_of(filter_)) == f"strict exists($ ? ({predicate}))"


def test_many_values_become_a_binary_search_by_type() -> None:
    words = [f"w{number}" for number in range(10, 27)]
    path = to_jsonpath(condition_of({"a": {"$in": [1, True, *reversed(words), None, 0.5]}}))
    low = " || ".join(f'@ == "{word}"' for word in words[:8])
    high = " || ".join(f'@ == "{word}"' for word in words[8:])
    strings = f'(@ < "w18" && ({low})) || (@ >= "w18" && ({high}))'
    assert path == (
        'strict exists($ ? (exists($."a" ? (@ == null || @ == true'
        f' || (@.type() == "string" && ({strings})) || (@.type() == "number" && (@ == 0.5 || @ == 1))))))'
    )


@pytest.mark.parametrize(
    ("filter_", "terms"),
    [
        ({"a": {"$in": list(range(50_000))}}, 50_000),
        ({"$or": [{"a": number} for number in range(10_000)]}, 10_000),
        ({"a": list(range(10_000))}, 10_001),
    ],
    ids=["in", "or", "array"],
)
def test_many_terms_become_a_balanced_tree(filter_: dict[str, Any], terms: int) -> None:
    path = to_jsonpath(condition_of(filter_))
    assert path.count(" == ") - path.count(".type() == ") == terms
    deepest = depth = 0
    for character in path:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    assert depth == 0
    assert deepest <= 40


@pytest.mark.parametrize(
    ("filter_", "document", "rest"),
    [
        ({"a": 1, "b.c": None, "b.d": "x"}, {"a": 1, "b": {"c": None, "d": "x"}}, None),
        ({"a": 1, "b": {"$gt": 2}}, {"a": 1}, {"b": {"$gt": 2}}),
        ({"$and": [{"a": 1}, {"$and": [{"b": 2}]}]}, {"a": 1, "b": 2}, None),
        ({"$and": [{"a": 1}, {"a": 2}]}, {"a": 1}, {"a": 2}),
        ({"a": 1, "a.b": 2}, {"a": 1}, {"a.b": 2}),
        ({"a.b": 2, "a": 1}, {"a": {"b": 2}}, {"a": 1}),
        ({"$or": [{"a": 1}, {"b": 2}]}, {}, {"$or": [{"a": 1}, {"b": 2}]}),
        ({"a": {"$ne": 1}}, {}, {"a": {"$ne": 1}}),
        ({"$not": {"$or": [{"a": {"$ne": 1}}, {"b": {"$ne": 2}}]}}, {"a": 1, "b": 2}, None),
        ({"a": [1]}, {}, {"a": [1]}),
    ],
)
def test_containment_takes_the_scalar_equalities(
    filter_: dict[str, Any], document: dict[str, Any], rest: dict[str, Any] | None
) -> None:
    assert to_containment(condition_of(filter_)) == (document, parse(rest))


@pytest.mark.parametrize(
    ("value", "json"),
    [
        ("é\u0001\"\\'", '"é\\u0001\\"\\\\\'"'),
        (True, "true"),
        (None, "null"),
        (1e22, "1e+22"),
        (Decimal("1.10"), "1.10"),
        ({"a": {"b": Decimal(1)}, "c": False}, '{"a": {"b": 1}, "c": false}'),
    ],
)
def test_json_text(value: Any, json: str) -> None:
    assert to_json(value) == json


def test_json_text_of_an_int_that_python_refuses_to_print() -> None:
    assert to_json(10**5000) == "1" + "0" * 5000


@pytest.mark.parametrize(
    ("pattern", "regex"),
    [
        ("", "^$"),
        ("a%b_", "^a.*b.$"),
        ("%_%_%", "^...*$"),
        (r"100\%\_\\", r"^100%_\\$"),
        (r"\a.(b)[c]{d}^$*+?|", r"^a\.\(b\)\[c\]\{d\}\^\$\*\+\?\|$"),
        ("\n\\\n", "^\n\n$"),
    ],
)
def test_like_pattern_as_regular_expression(pattern: str, regex: str) -> None:
    assert to_regex(pattern) == regex
