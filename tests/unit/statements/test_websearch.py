"""Queries for websearch_to_tsquery: what becomes of CJK characters, and that nothing a user types is lost or raises."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given, strategies as st

from rowspace.statements.websearch import CHARACTERS, character_runs, spaced, web_query, without_excluded

QUERIES = st.text(
    st.sampled_from('ab "-数据库検索ベー한국、。\uff0c「」“”\uff0d\uff02　\0\ud800\U00020000') | st.characters(),
    max_size=60,
)


@pytest.mark.parametrize(
    ("typed", "query"),
    [
        ("vector search", "vector search"),
        ('"vector search" or -index', '"vector search" or -index'),
        ("数据库", '"数 据 库"'),
        ("ベクトル 検索", '"ベ ク ト ル" "検 索"'),
        ("한국어", '"한 국 어"'),
        ("𠀀𠀁", '"𠀀 𠀁"'),
        ("PG数据库18", '"PG" "数 据 库" "18"'),
        ("数据 or 検索", '"数 据" or "検 索"'),
        ("数or据", '"数" "or" "据"'),
        ("数-据", '"数" "-" "据"'),
        ("-数据 foo", '-"数 据" foo'),
        ("-PG数据", '-"PG 数 据"'),
        ("foo -bar 数", 'foo -bar "数"'),
        ('"PG 数据"', '"PG  数  据 "'),
        ("数据\uff0c天气。", '"数 据" "天 气"'),
        ("データ・ベース", '"デ ー タ" "ベ ー ス"'),
        ("“vector search”", '"vector search"'),
        ("「検索」", '" 検  索 "'),
        ("\uff0d数", '-"数"'),
        ("----a", "-a"),
        ("a\0b", "a b"),
        ("a\ud800b", "a?b"),
        ("", ""),
    ],
)
def test_what_becomes_of_a_query(typed, query):
    assert web_query(typed) == query


@pytest.mark.parametrize(
    ("typed", "left"),
    [
        ('cat -dog "a -b" -"c d" e', 'cat "" "a -b" "" e'),
        ("数据 or --検索 or a", '数据 or "" or a'),
        ("cat-dog", "cat-dog"),
        ("-cat", '""'),
    ],
)
def test_what_is_left_without_what_is_excluded(typed, left):
    assert without_excluded(typed) == left


@given(QUERIES)
@example('"' * 3 + "数")
@example("-" * 40 + "数 - - -" + "a")
def test_any_query_can_be_sent(typed):
    query = web_query(typed)
    query.encode()
    assert "\0" not in query
    assert not re.search(r"-\s*-", re.sub(r'"[^"]*"?|[^\s"-][^\s"]*', "x", query))


@given(st.text(st.characters(exclude_characters="\0“”„\uff02「」『』«»\uff0d-", exclude_categories=["Cs"])))
def test_without_cjk_a_query_is_left_alone(typed):
    if not re.search(CHARACTERS, typed):
        assert web_query(typed) == typed


@given(QUERIES)
def test_no_two_characters_stay_together(typed):
    assert not re.search(CHARACTERS * 2, web_query(typed))


@given(QUERIES)
def test_no_word_is_lost_or_added(typed):
    def words(text):
        return [one for one in re.findall(rf"{CHARACTERS}|[a-b]", text) if unicodedata.category(one)[0] not in "PZ"]

    assert words(web_query(typed)) == words(typed)


def test_spaced_keeps_other_text():
    assert spaced("PG 数据库!") == "PG  数  据  库 !"


def test_the_runs_that_are_asked_for():
    assert character_runs('PG数据 -天气 "検索 ok" データ・ベース') == ["数据", "検索", "データ", "ベース"]
