from __future__ import annotations

from dataclasses import replace

import pytest

from rowspace.errors import ConfigurationError
from rowspace.statements.tunings import comment_on, tunings_in, with_tuning
from rowspace.tuning import Tuning, TuningPoint

TUNING = Tuning("ef_search", 0.95, 10, 50, (TuningPoint(40, 0.9, 1.0), TuningPoint(80, 0.97, 1.5)))
COSINE = {"column": "embedding", "distance": "cosine"}


def test_the_rest_of_a_comment_stays_and_a_tuning_takes_the_place_of_the_last() -> None:
    first = with_tuning("ours\nand more", TUNING, **COSINE)
    second = with_tuning(first, TUNING, column="embedding", distance="l2")
    assert second.splitlines()[:2] == ["ours", "and more"]
    assert tunings_in([second]) == {("embedding", "l2"): TUNING}
    assert tunings_in([with_tuning(None, TUNING, **COSINE), "nothing of ours"]) == {("embedding", "cosine"): TUNING}


@pytest.mark.parametrize(
    ("comment", "literal"),
    [
        ("plain", "'plain'"),
        ("it's", "'it''s'"),
        (r"a\b'", r"E'a\\b'''"),
        ("5 % of :name", r"E'5 \x25 of :name'"),
    ],
)
def test_a_comment_is_a_literal_whatever_it_holds(comment: str, literal: str) -> None:
    compiled = comment_on('i"x', "Main", comment).compile()
    assert str(compiled) == f'COMMENT ON INDEX "Main"."i""x" IS {literal}'
    assert compiled.params == {}


@pytest.mark.parametrize(
    "line",
    [
        "rowspace tuning: {",
        'rowspace tuning: {"column": "e"}',
        "rowspace tuning: []",
        with_tuning(None, replace(TUNING, points=()), **COSINE),
        with_tuning(None, TUNING, **COSINE).replace('"points": [[', '"points": [["1; --", 0.99, 1], ['),
        with_tuning(None, TUNING, **COSINE).replace('"target": ', '"target": [], "of": '),
        "rowspace tuning: " + "[" * 100_000,
    ],
)
def test_a_tuning_that_cannot_be_read_is_named(line: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: rowspace tuning"):
        tunings_in(["ours\n" + line])
