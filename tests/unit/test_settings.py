from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from rowspace import SearchSettings
from rowspace.errors import InvalidSetting

RANGES = {
    "ef_search": (1, 1_000),
    "probes": (1, 32_768),
    "max_scan_tuples": (1, 2_147_483_647),
    "scan_mem_multiplier": (1, 1_000),
}
LITERAL = re.compile(r"SET LOCAL (hnsw|ivfflat)\.[a-z_]+ = (\d+|off|strict_order|relaxed_order)")


@pytest.mark.parametrize(("name", "low", "high"), [(name, *ends) for name, ends in RANGES.items()])
def test_ranges(name, low, high):
    for value in (low, high):
        (statement,) = SearchSettings(**{name: value}).statements()
        assert statement.endswith(f".{name} = {value}")
    for value in (low - 1, high + 1):
        with pytest.raises(InvalidSetting, match=f"^{name} must be a whole number from {low} to {high}, got {value}.$"):
            SearchSettings(**{name: value})


@pytest.mark.parametrize("value", [True, 40.0, "40", "40; DROP TABLE documents", b"1", [40]])
@pytest.mark.parametrize("name", RANGES)
def test_only_whole_numbers(name, value):
    with pytest.raises(InvalidSetting, match="must be a whole number"):
        SearchSettings(**{name: value})


@pytest.mark.parametrize("value", ["on", "off; SELECT 1", "OFF", True, 1])
def test_only_the_words_of_iterative_scan(value):
    with pytest.raises(InvalidSetting, match="iterative_scan must be one of off, strict_order, relaxed_order"):
        SearchSettings(iterative_scan=value)


values = st.one_of(st.none(), st.integers(), st.text(), st.floats(), st.booleans())


@given(st.fixed_dictionaries(dict.fromkeys([*RANGES, "iterative_scan"], values)))
def test_whatever_comes_through_is_a_literal(options):
    try:
        settings = SearchSettings(**options)
    except InvalidSetting:
        return
    assert all(LITERAL.fullmatch(statement) for statement in settings.statements())


def test_no_setting_is_no_statement():
    assert SearchSettings().statements() == []


def test_each_setting_is_one_statement():
    everything = SearchSettings(
        ef_search=100, probes=5, iterative_scan="relaxed_order", max_scan_tuples=9, scan_mem_multiplier=2
    )
    assert everything.statements() == [
        "SET LOCAL hnsw.ef_search = 100",
        "SET LOCAL ivfflat.probes = 5",
        "SET LOCAL hnsw.max_scan_tuples = 9",
        "SET LOCAL hnsw.scan_mem_multiplier = 2",
        "SET LOCAL hnsw.iterative_scan = relaxed_order",
        "SET LOCAL ivfflat.iterative_scan = relaxed_order",
    ]


@pytest.mark.parametrize("method", ["hnsw", "ivfflat"])
def test_a_known_method_gets_its_own_settings(method):
    settings = SearchSettings(ef_search=100, probes=5, iterative_scan="off")
    assert len(settings.statements(method)) == 2
    assert all(f"SET LOCAL {method}." in statement for statement in settings.statements(method))


def test_ivfflat_has_no_strict_order():
    assert SearchSettings(iterative_scan="strict_order").statements() == [
        "SET LOCAL hnsw.iterative_scan = strict_order"
    ]
