"""Which searches can be asked for."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from rowspace.models import Document
from rowspace.results import Hit, HybridHit, TextHit
from rowspace.services import SearchHit, SearchRequest
from rowspace.services.requests import request_of, search_options

DOCUMENT = Document(id="a", content="text", meta={"n": 1})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "a text or a vector"),
        ({"text": "a", "vector": [1]}, "a text or a vector"),
        ({"text": "a", "highlight": True}, "highlight goes with"),
        ({"vector": [1], "mode": "hybrid"}, "mode hybrid takes a text"),
        ({"mode": "text"}, "mode text takes a text"),
        ({"text": "a", "vector": [1], "mode": "text"}, "mode text takes no vector"),
        ({"text": "a", "mode": "text", "max_distance": 1}, "max_distance goes with"),
        ({"text": "a", "mode": "hybrid", "min_similarity": 0.5}, "min_similarity goes with"),
        ({"text": "a", "max_distance": 0, "min_similarity": 0}, "are two words for one limit: give one of them"),
        *(({"text": "a", "mode": "text", name: 1}, f"{name} goes with") for name in ("exact", "ef_search", "recall")),
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
