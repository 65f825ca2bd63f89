"""What the pages show, computed without Streamlit and without a database."""

from __future__ import annotations

import io
import json
import tracemalloc

import numpy as np
import pytest

from rowspace.errors import ConfigurationError, InvalidRow
from rowspace.integrations._ingest.documents import Fields
from rowspace.integrations.rag import Source
from rowspace.integrations.streamlit.cards import answer_html, cards, excerpt, quoted, sources_html
from rowspace.integrations.streamlit.charts import map_chart
from rowspace.integrations.streamlit.filters import (
    Facet,
    choice,
    filter_of,
    keys_of,
    label_of,
    numeric,
    range_of,
    still,
)
from rowspace.integrations.streamlit.launch import flags_of
from rowspace.integrations.streamlit.options import UiOptions, current, given
from rowspace.integrations.streamlit.projection import placed, plane_of, point, scaled
from rowspace.integrations.streamlit.searching import modes_for, unlike
from rowspace.integrations.streamlit.uploads import Upload, guessed, passages
from rowspace.results import FacetCount, Stats
from rowspace.services import CollectionInfo, SearchHit
from rowspace.testing import HashingEmbedder


def counts(*pairs):
    return [FacetCount(*pair) for pair in pairs]


def test_keys_are_scalars_and_arrays_one_level_deep():
    rows = [
        {"year": 2020, "author": {"name": "A", "of": {"deep": 1}}, "tags": ["x"], "none": None},
        {"year": 2021, "a.b": 1, "$x": 2, "": 3},
    ]
    assert keys_of(rows) == {"year": [2020, 2021], "author.name": ["A"], "tags": [["x"]]}
    assert list(keys_of([{"rare": 1, "often": 2}, {"often": 3}], most=1)) == ["often"]


def test_numbers_are_a_range_where_there_are_many():
    assert numeric(range(11))
    assert not numeric(range(10))
    assert not numeric([*range(20), "x"])
    assert not numeric([True, False] * 10)
    assert range_of("n", Stats(9, 0, 9, 1, 5.5)) == Facet("n", "range", low=1, high=5.5)
    assert isinstance(range_of("n", Stats(9, 0, 9, 1, 5.5)).low, float), "a slider takes one type"
    assert range_of("n", Stats(9, 0, 9, 1, 2**60)) is None
    assert range_of("n", Stats(9, 0, 1, 3, 3)) is None
    assert range_of("n", Stats(9, 0, 2, 1, "x")) is None
    assert range_of("n", Stats(0, 9, 0)) is None


def test_values_that_do_not_divide_are_no_choice():
    few = choice("kind", ["a"], counts(("a", 2), ("b", 1)), of=3)
    assert few == Facet("kind", "choice", (("a", 2), ("b", 1)))
    ids = counts(*((f"id{n}", 1) for n in range(25)))
    assert choice("id", ["id1"], ids, of=1_000) is None
    assert choice("kind", [], counts(), of=3) is None
    share = choice("kind", ["a"], counts(("a", 200)), of=1_000, every=5)
    assert (share.values, share.exact) == ((("a", 1_000),), False)
    assert choice("tags", [["a"]], counts(("a", 2)), of=2).kind == "tags"


def test_what_was_chosen_becomes_a_filter():
    facets = [Facet("kind", "choice"), Facet("tags", "tags"), Facet("year", "range", low=1, high=9)]
    chosen = {"kind": ["a", True], "tags": ["x"], "year": (2, 9)}
    expected = {"kind": {"$in": ["a", True]}, "tags": {"$any": ["x"]}, "year": {"$gte": 2}}
    assert filter_of(facets, chosen) == expected
    assert filter_of(facets, {"kind": [], "year": (1, 9)}) is None


def test_a_choice_is_kept_as_far_as_it_goes():
    assert still(Facet("kind", "choice", (("a", 2),)), ["a", "gone"]) == ["a"]
    assert still(Facet("n", "range", low=2, high=5), (1, 4)) == (2, 4)
    assert still(Facet("n", "range", low=2.5, high=5.5), (1, 4)) == (2.5, 4.0)


def test_values_are_offered_with_their_counts():
    assert label_of(True, 1_200) == "true (1,200)"
    assert label_of("x" * 90, 1) == "x" * 60 + " (1)"
    assert label_of("x", 5_882, exact=False) == "x (about 5,900)"


def hit(rank, content="text", **fields):
    return SearchHit(rank=rank, id=f"<{rank}>", content=content, metadata=fields.pop("metadata", {}), **fields)


def test_everything_of_a_document_is_escaped():
    evil = "<img src=x onerror=alert(1)>&"
    shown = cards([hit(1, evil, similarity=0.5, distance=0.5, metadata={evil: evil, "deep": {"k": [evil]}})])
    assert "<img" not in shown
    assert "&lt;img src=x onerror=alert(1)&gt;&amp;" in shown
    assert "&lt;1&gt;" in shown
    assert "<img" not in answer_html(evil)
    assert "<img" not in sources_html([Source(number=1, id=evil, content=evil, metadata={"a": evil})])


def test_a_bar_is_the_similarity_or_the_share_of_the_best():
    assert "width:50.0%" in cards([hit(1, similarity=0.5, distance=0.5)])
    assert "width:0.0%" in cards([hit(1, similarity=-0.2, distance=1.2)])
    inner_product = cards([hit(1, similarity=8.0, distance=-8.0), hit(2, similarity=4.0, distance=-4.0)])
    assert "width:100.0%" in inner_product
    assert "width:50.0%" in inner_product
    by_text = cards([hit(1, text_rank=0.4), hit(2, text_rank=0.1)])
    assert "width:25.0%" in by_text
    assert "width:0.0%" in cards([hit(1, text_rank=0.0)])


def test_an_excerpt_ends_at_a_space():
    assert excerpt("short") == "short"
    assert excerpt("word " * 100, 52) == "word word word word word word word word word word …"
    assert excerpt("数" * 100, 50) == "数" * 50 + " …"


def test_numbers_of_sources_are_set_apart():
    assert 'a <sup class="rs-number">12</sup>' in answer_html("a [12]")
    cited = Source(number=2, id="b", content="x", metadata={}, cited=True)
    assert "<b>2</b>b</span>" in answer_html("x [2]", [cited, Source(number=3, id="c", content="x", metadata={})])
    assert ">c<" not in answer_html("x [2]", [cited])
    shown = sources_html([Source(number=1, id="a", content="x", metadata={}), cited])
    assert shown.index(">b<") < shown.index(">a<")
    assert shown.count("not cited") == 1


def test_the_plane_is_where_vectors_differ_most():
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((50, 5)) * 0.01
    rows[:, 3] += np.linspace(-5, 5, 50)
    at = placed(plane_of(rows), rows)
    assert at.shape == (50, 2)
    assert np.allclose(np.abs(at[:, 0]), np.abs(np.linspace(-5, 5, 50)), atol=0.1)


@pytest.mark.parametrize("rows", [np.ones((4, 3)), np.ones((2, 1)), np.array([[1.0], [2.0]])])
def test_a_plane_of_hardly_anything(rows):
    at = placed(plane_of(rows), rows)
    assert at.shape == (len(rows), 2)
    assert np.isfinite(at).all()


def test_cosine_scales_to_length_one():
    assert np.allclose(scaled([[3, 4], [0, 0]], "cosine"), [[0.6, 0.8], [0, 0]])
    assert np.allclose(scaled([[3, 4]], "l2"), [[3, 4]])


def test_the_map_groups_by_the_commonest_values():
    points = [point(str(n), "text", {"k": {"of": n % 13 if n else 0}}, (n, n)) for n in range(40)]
    chart = json.loads(map_chart(points, [], "k.of").to_json())
    data = chart["data"]
    rows = data.get("values") or chart["datasets"][data["name"]]
    assert len({row["group"] for row in rows}) == 11
    assert "other" in {row["group"] for row in rows}


def upload(name, content):
    return Upload(name, io.BytesIO(content), len(content))


def test_a_table_is_read_with_its_share():
    file = upload("a.csv", b"id,text,n\n1,x,2\n2,y,\n")
    assert file.first(1) == [{"id": "1", "text": "x", "n": "2"}]
    documents = file.documents(Fields("text", "id", detect_types=True))
    found = [(one.id, one.content, one.metadata, file.share) for one in documents]
    assert found == [("1", "x", {"n": 2}, 16 / 21), ("2", "y", {}, 1)]


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_what_is_between_the_columns_is_seen_in_the_header(mark):
    written = b"\xef\xbb\xbfid,text,n\n1,x,2\n".replace(b",", mark.encode()) + f"2{mark}y,z{mark}\n".encode()
    file = upload("a.csv", written)
    assert file.first(1) == [{"id": "1", "text": "x", "n": "2"}]
    found = [(one.id, one.content, one.metadata) for one in file.documents(Fields("text", "id", detect_types=True))]
    assert found == [("1", "x", {"n": 2}), ("2", "y,z", {})]
    assert upload("a.csv", f"id,a{mark}b\n1,x\n".encode()).first() == [{"id": "1", f"a{mark}b": "x"}]


def test_errors_of_a_file_name_it_and_no_option_of_a_command():
    file = upload("a.jsonl", b'{"text": "a"}\n{"body": "b"}\n')
    with pytest.raises(InvalidRow, match=r"^a.jsonl, line 2: there is no 'text', only 'body'\.$"):
        list(file.documents(Fields("text")))
    with pytest.raises(InvalidRow, match=r"2 cells under 1 column names\.$"):
        list(upload("a.csv", b"text\nb,c\n").documents(Fields("text")))
    with pytest.raises(InvalidRow, match=r"Remove it\.$"):
        list(upload("a.jsonl", rb'{"text": "a\u0000"}').documents(Fields("text")))
    with pytest.raises(InvalidRow, match=r"^a.txt, line 2: a NUL byte, which PostgreSQL cannot store\. Remove it\.$"):
        list(upload("a.txt", b"one\ntw\0o").documents(Fields()))
    with pytest.raises(ConfigurationError, match=r"'a.pdf' has no supported suffix, expected a name that ends in .csv"):
        upload("a.pdf", b"").first()


def test_a_paragraph_of_megabytes_is_cut_in_one_pass():
    found = passages("word " * 1_600_000, "a.txt")
    tracemalloc.start()
    next(found)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    next(found)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # With a copy of the rest for each passage it took twenty seconds.
    assert peak - held < 100_000
    assert sum(1 for _ in found) == 7_998


def test_a_text_becomes_passages():
    text = "One.\n\nTwo.\n\n" + "Three is long. " * 4 + "\n\n" + "四" * 45
    found = list(passages(text, "a.txt", 40))
    assert [one.id for one in found][:2] == ["a.txt#0001", "a.txt#0002"]
    assert found[0].content == "One.\n\nTwo."
    assert found[1].content == "Three is long. Three is long."
    assert all(len(one.content) <= 40 for one in found)
    assert "".join("".join(one.content.split()) for one in found) == "".join(text.split())
    assert found[0].metadata == {"file": "a.txt", "passage": 1}


def test_the_text_field_is_guessed():
    assert guessed(["id", "Title", "Body"]) == "Body"
    assert guessed(["x", "y"]) == "x"


def info(**fields):
    given_fields = {"name": "c", "dimension": 64, "distance": "cosine", "language": "simple", "index": {}}
    return CollectionInfo(**{**given_fields, "embedder": None, "metadata": {}, "indexed_keys": [], **fields})


def test_why_a_search_is_by_keyword_alone():
    mine = HashingEmbedder()
    assert unlike(info(embedder="hashing-64"), mine, empty=False) is None
    assert unlike(info(), mine, empty=True) is None
    assert "were imported" in unlike(info(), mine, empty=False)
    assert "'other'" in unlike(info(embedder="other"), mine, empty=False)
    assert "no embedder" in unlike(info(), None, empty=True)
    assert modes_for("reason") == ["text"]
    assert modes_for(None) == ["vector", "hybrid", "text", "mmr"]


def test_streamlit_is_started_for_this_machine_alone(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    flags = flags_of(port=8600, browser=False)
    assert "--server.address=127.0.0.1" in flags
    assert "--browser.gatherUsageStats=false" in flags
    assert "--client.showErrorDetails=none" in flags
    assert "--server.headless=true" in flags
    assert "--server.port=8600" in flags
    monkeypatch.setenv("DISPLAY", ":0")
    assert "--server.headless=false" in flags_of(port=None, browser=True)


def test_options_hold_until_the_block_ends(monkeypatch):
    monkeypatch.setenv("ROWSPACE_CHAT_MODEL", "fake:model")
    assert current() == UiOptions(model="fake:model")
    with given(UiOptions(url="postgresql://me:p4ssw0rd@host/db")):
        assert current().url.endswith("@host/db")
        assert "p4ssw0rd" not in repr(current())
    assert current().url is None


def test_nothing_is_taken_for_markdown():
    assert quoted("a_b [x](y) $1$ `c` :red[d]") == r"a\_b \[x\](y) \$1\$ \`c\` \:red\[d\]"


@pytest.mark.parametrize("icon", ["material/delete", "material_delete", "streamlit"])
def test_nothing_is_taken_for_an_icon(icon):
    """A page finds them in what Markdown has made, where a backslash is gone."""
    assert f":{icon}:" not in quoted(f"a :{icon}:").replace("\\", "")
