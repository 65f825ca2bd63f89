"""One thing where several are meant: what would be taken for something else is refused."""

from __future__ import annotations

import pytest
from sqlalchemy import and_, column, true

from rowspace.errors import ConfigurationError
from rowspace.repositories.given import conditions, several


@pytest.mark.parametrize("one", ["abc", b"bytes", {"a": 1}, 3, None])
def test_one_thing_is_not_several(one):
    with pytest.raises(ConfigurationError, match=r"^Expected ids as a list or another iterable, got \w+ .*: write"):
        several(one, "ids")


def test_any_other_iterable_is_several():
    source = (id_ for id_ in "ab")
    assert several(source, "ids") is source
    assert several(("a",), "ids") == ("a",)


ONES = {
    "equal": column("a") == 1,
    "greater": column("a") > 1,
    "both": and_(column("a") == 1, true()),
    "column": column("a"),
    "text": "a = 1",
}


@pytest.mark.parametrize("one", ONES.values(), ids=ONES)
def test_one_condition_is_not_several(one):
    with pytest.raises(ConfigurationError, match="Expected where as a list of conditions or a filter as a dict, got"):
        conditions(one)


@pytest.mark.parametrize("none", [5, [{"a": 1}], ["a = 1"], [None], [[column("a") == 1]]])
def test_what_is_no_condition_is_refused(none):
    with pytest.raises(ConfigurationError, match=r"Expected .*conditions"):
        conditions(none)


def test_conditions_are_a_tuple():
    one = column("a") == 1
    assert conditions(None) == conditions([]) == ()
    assert conditions([one])[0] is one
