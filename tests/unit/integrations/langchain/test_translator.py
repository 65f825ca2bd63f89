from __future__ import annotations

import pytest
from langchain_core.structured_query import Comparator, Comparison, Operation, Operator, StructuredQuery

from rowspace.filters import parse
from rowspace.integrations.langchain import RowspaceTranslator

YEAR = Comparison(Comparator.GT, "year", 2000)
BY = Comparison(Comparator.EQ, "author.name", "Ada")


def filter_of(condition, **options):
    text, keywords = RowspaceTranslator(**options).visit_structured_query(StructuredQuery("dreams", condition))
    assert text == "dreams"
    return keywords.get("filter")


@pytest.mark.parametrize("comparator", sorted({*Comparator} - {Comparator.CONTAIN, Comparator.IN, Comparator.NIN}))
def test_a_comparison_is_the_operator_of_that_name(comparator):
    found = filter_of(Comparison(comparator, "title", "a"))
    assert parse(found) == parse({"title": {f"${comparator.value}": "a"}})


def test_one_of_several_values():
    assert parse(filter_of(Comparison(Comparator.IN, "year", [1, 2]))) == parse({"year": {"$in": [1, 2]}})
    assert parse(filter_of(Comparison(Comparator.NIN, "year", [1, 2]))) == parse({"year": {"$nin": [1, 2]}})


def test_contain_is_an_element_or_a_part_of_a_text():
    assert parse(filter_of(Comparison(Comparator.CONTAIN, "tags", 1))) == parse({"tags": {"$contains": 1}})
    found = filter_of(Comparison(Comparator.CONTAIN, "tags", r"50%_\ "))
    assert parse(found) == parse({"tags": {"$or": [{"$contains": r"50%_\ "}, {"$like": r"%50\%\_\\ %"}]}})


@pytest.mark.parametrize("operator", Operator)
def test_conditions_are_joined(operator):
    found = filter_of(Operation(operator, [YEAR, BY]))
    assert parse(found) == parse({f"${operator.value}": [{"year": {"$gt": 2000}}, {"author": {"name": "Ada"}}]})


@pytest.mark.parametrize(
    "value", [{"date": "2026-01-02", "type": "date"}, {"datetime": "2026-01-02", "type": "datetime"}, "2026-01-02"]
)
def test_a_date_is_its_text(value):
    assert parse(filter_of(Comparison(Comparator.LT, "day", value))) == parse({"day": {"$lt": "2026-01-02"}})


def test_a_filter_of_the_application_holds_beside_the_model_s():
    mine = {"tenant": "a", "$or": [{"open": True}, {"owner": 1}]}
    assert filter_of(None) is None
    assert filter_of(None, filter={}) is None
    assert parse(filter_of(None, filter=mine)) == parse(mine)
    theirs = Operation(Operator.OR, [YEAR, Comparison(Comparator.EQ, "tenant", "b")])
    asked = {"$or": [{"year": {"$gt": 2000}}, {"tenant": "b"}]}
    assert parse(filter_of(theirs, filter=mine)) == parse({"$and": [mine, asked]})
