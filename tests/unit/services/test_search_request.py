"""Which searches can be asked for."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from rowspace.models import Collection, Document
from rowspace.results import Hit, HybridHit, TextHit
from rowspace.services import SearchHit, SearchRequest
from rowspace.services.requests import is_plain, request_of, search_options

DOCUMENT = Document(id="a", content="text", meta={"n": 1})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "a text or a vector"),
        ({"text": "a", "vector": [1]}, "a text or a vector"),
        ({"text": "a", "highlight": True}, "highlight is only supported in"),
        ({"vector": [1], "mode": "hybrid"}, "mode hybrid needs a text"),
        ({"mode": "text"}, "mode text needs a text"),
        ({"text": "a", "vector": [1], "mode": "text"}, "mode text does not use a vector"),
        ({"text": "a", "mode": "text", "max_distance": 1}, "max_distance is only supported in"),
        ({"text": "a", "mode": "hybrid", "min_similarity": 0.5}, "min_similarity is only supported in"),
        ({"text": "a", "max_distance": 0, "min_similarity": 0}, "express the same limit: pass only one of them"),
        *(
            ({"text": "a", "mode": "text", name: 1}, f"{name} is only supported in")
            for name in ("exact", "ef_search", "recall")
        ),
        ({"text": "a", "mode": "mmr", "min_distance": 1}, "min_distance is only supported in the mode vector"),
        *(({"text": "a", name: 1}, f"{name} is only supported in the mode mmr") for name in ("fetch_k", "lambda_mult")),
        ({"text": "a", "recall": 0.9, "ef_search": 80}, "recall selects ef_search: pass only one of them"),
        ({"text": "a", "max_distance": float("nan")}, "a finite number"),
        ({"text": "a", "min_distance": float("inf")}, "a finite number"),
        ({"text": "a", "min_similarity": float("nan")}, "a finite number"),
        ({"text": "a", "mode": "keyword"}, "'vector', 'mmr', 'text' or 'hybrid'"),
    ],
)
def test_what_cannot_be_asked_for(given, message):
    with pytest.raises(ValidationError, match=message):
        SearchRequest(**given)


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        ("text", {"where", "highlight"}),
        ("hybrid", {"where", "highlight", "exact", "settings"}),
    ],
)
def test_the_options_of_each_mode(mode, names):
    request = request_of("a", {"mode": mode, "filter": {"n": 1}, "highlight": True})
    options = search_options(request)
    assert options.keys() == names
    assert (options["where"], options["highlight"]) == ({"n": 1}, True)


def test_candidates_of_a_varied_search_are_no_fewer_than_the_hits():
    for given, fetch_k in ((3, 10), (30, 30), (None, None)):
        assert search_options(request_of("a", {"mode": "mmr", "k": 10, "fetch_k": given}))["fetch_k"] == fetch_k


def test_variety_alone_may_be_asked_for():
    for given, lambda_mult in ((0, 0), (1, 1), (None, 0.5)):
        assert search_options(request_of("a", {"mode": "mmr", "lambda_mult": given}))["lambda_mult"] == lambda_mult


def test_options_beside_a_request_replace_its_own_and_are_checked():
    given = SearchRequest(text="a", k=3, exact=True)
    assert request_of(given, {"k": 5}) == SearchRequest(text="a", k=5, exact=True)
    with pytest.raises(ValidationError, match="max_distance is only supported in"):
        request_of(given, {"mode": "text", "exact": False, "max_distance": 1})


@pytest.mark.parametrize(
    ("options", "index", "plain"),
    [
        ({}, {"method": "hnsw"}, True),
        ({"k": 40}, {}, True),
        ({"k": 41}, {}, False),
        ({"mode": "mmr"}, {}, False),
        ({"max_distance": 0}, {}, False),
        ({"min_distance": 0}, {}, False),
        ({"min_similarity": 0}, {}, False),
        ({"ef_search": 40}, {}, False),
        ({"recall": 0.9}, {}, False),
        ({"exact": True}, {}, False),
        ({}, {"method": "hnsw", "quantize": "bit"}, False),
        ({}, {"method": "hnsw", "tuning": []}, False),
    ],
)
def test_a_search_is_plain_where_a_scan_of_the_index_gives_all_that_is_asked_for(options, index, plain):
    assert is_plain(request_of("a", options), Collection(index=index)) is plain


def test_a_hybrid_search_may_bring_its_vector():
    assert request_of("a", {"mode": "hybrid", "vector": [1, 2]}).vector == [1, 2]


@pytest.mark.parametrize(
    ("hit", "told"),
    [
        (Hit(DOCUMENT, 0.25, 0.75), (0.25, 0.75, None, None, None)),
        (TextHit(DOCUMENT, 0.5, "<mark>text</mark>"), (None, None, 0.5, None, "<mark>text</mark>")),
        (HybridHit(DOCUMENT, 0.25, 0.75, 0.03, 0.5), (0.25, 0.75, 0.5, 0.03, None)),
    ],
)
def test_a_hit_tells_what_it_was_found_by(hit, told):
    out = SearchHit.from_hit(1, hit)
    assert (out.rank, out.id, out.content, out.metadata) == (1, "a", "text", {"n": 1})
    assert (out.distance, out.similarity, out.text_rank, out.score, out.highlight) == told
