from __future__ import annotations

from xml.etree import ElementTree as ET

from rowspace.services import SearchHit
from rowspace.services.html import HtmlList, table


def hit(**given):
    fields = {"rank": 1, "id": "a", "content": "x", "metadata": {}, "distance": 0.25, "similarity": 0.75}
    return SearchHit(**{**fields, **given})


def cells(html):
    rows = ET.fromstring(html.partition("<p>")[0]).iter("tr")  # noqa: S314 -- made here
    return [[cell.text or "" for cell in row] for row in rows]


def test_a_list_of_hits_is_a_table_and_still_a_list():
    hits = HtmlList([hit(metadata={"year": 2020}), hit(rank=2, id="b", distance=1 / 3)])
    assert cells(hits._repr_html_()) == [
        ["rank", "id", "content", "metadata", "distance", "similarity"],
        ["1", "a", "x", "year: 2020", "0.2500", "0.7500"],
        ["2", "b", "x", "", "0.3333", "0.7500"],
    ]
    assert hits == [*hits]
    assert cells(hits[0]._repr_html_())[1][0] == "1"


def test_nothing_of_a_document_is_markup():
    evil = "<script>alert('1')</script>\" onload=\"x"
    html = HtmlList([hit(id=evil, content=evil, metadata={evil: [evil]}, highlight="<b>" + evil)])._repr_html_()
    assert "<script" not in html
    assert '" onload' not in html
    assert cells(html)[1][1] == evil
    assert "<script" not in table([{evil: 1}])


def test_a_highlight_is_shown_with_its_marks():
    html = HtmlList([hit(highlight="<mark>cats</mark> &amp; &lt;mark&gt;dogs<i>")])._repr_html_()
    assert "><mark>cats</mark> &amp; &lt;mark&gt;dogs&lt;i&gt;</td>" in html


def test_long_texts_long_lists_and_nothing():
    assert cells(table([{"a": "x" * 1_000}]))[1][0] == "x" * 297 + "..."
    html = table([{"n": n} for n in range(102)])
    assert (html.count("<tr>"), html.endswith("<p>2 more</p>")) == (101, True)
    assert HtmlList()._repr_html_() == "<p>nothing</p>"
