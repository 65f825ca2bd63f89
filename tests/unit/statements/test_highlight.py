"""Making the text of ts_headline readable."""

from __future__ import annotations

import pytest

from rowspace.errors import InvalidSetting
from rowspace.statements.highlight import Highlight, Marker


def marked(text):
    """Write control characters as people read them: _ around CJK, [ ] around what was found, { } ^ for < > &."""
    return text.translate(str.maketrans("_[]{}^|", "\x01\x02\x03\x04\x05\x06\x07"))


@pytest.mark.parametrize(
    ("query", "headline", "rendered"),
    [
        ("vector", "a [vector] b", "a <mark>vector</mark> b"),
        ("数据库", "PG_[数]__[据]__[库]_支", "PG<mark>数据库</mark>支"),
        ("天气", "今_[天]__[天]__[气]_", "今天<mark>天气</mark>"),
        ("PG数据", "[PG]_[数]__[据]_", "<mark>PG数据</mark>"),
        ("数据", "_[数]_ _[据]_ _[数]_", "<mark>数 据</mark> 数"),
        ("数据库 数据", "_[数]__[据]__[库]_", "<mark>数据库</mark>"),
        ("script", "{[script]} a^b", "&lt;<mark>script</mark>&gt; a&amp;b"),
        ("a", "[a]|b", "<mark>a</mark> … b"),
        ("-数据 a", "_[数]__[据]_", "数据"),
    ],
)
def test_rendering(query, headline, rendered):
    assert Marker(Highlight(), query).render(marked(headline)) == rendered


def test_markers_and_escaping_are_the_callers():
    marker = Marker(Highlight(start="*", stop="*", escape=False), "b")
    assert marker.render(marked("{[b]}")) == "<*b*>"


@pytest.mark.parametrize(
    "options", [{"min_words": 0}, {"max_words": 5, "min_words": 5}, {"fragments": -1}, {"max_words": "30"}]
)
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(InvalidSetting, match="min_words"):
        Highlight(**options)
