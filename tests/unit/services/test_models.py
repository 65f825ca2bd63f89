from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import ValidationError

from rowspace import Collection, Document, DocumentIn, Hit, SearchHit, SearchRequest
from rowspace.services import CollectionInfo, DocumentOut
from rowspace.services.requests import request_of, search_options
from rowspace.settings import SearchSettings

DOCUMENT = Document(id="1", content="text", meta={"k": [1]})


@pytest.mark.parametrize("embedding", [[1.0, 2.0], (1, 2), np.array([1, 2], np.float32), np.array([1, 2], "i8")])
def test_embeddings_from_any_array(embedding):
    assert list(DocumentIn(content="a", embedding=embedding).embedding) == [1, 2]
    assert list(SearchRequest(vector=embedding).vector) == [1, 2]


@pytest.mark.parametrize("embedding", ["[1, 2]", [[1, 2]], ["x"], 5])
def test_what_is_no_embedding_is_refused(embedding):
    with pytest.raises(ValidationError):
        DocumentIn(content="a", embedding=embedding)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "a search needs a text or a vector, but not both"),
        ({"text": "a", "vector": [1]}, "a search needs a text or a vector, but not both"),
        ({"text": ""}, "at least 1 character"),
        ({"text": "a", "k": 0}, "greater than or equal to 1"),
        ({"text": "a", "k": 10_001}, "less than or equal to 10000"),
        ({"text": "a", "ef_search": 1_001}, "less than or equal to 1000"),
        ({"text": "a", "limit": 5}, "Extra inputs are not permitted"),
    ],
)
def test_requests_are_checked(fields, message):
    with pytest.raises(ValidationError, match=message):
        SearchRequest(**fields)


def test_requests_from_texts_vectors_and_requests():
    assert request_of("a", {"k": 3}) == SearchRequest(text="a", k=3)
    assert request_of([1, 2], {}).vector == [1, 2]
    request = SearchRequest(text="a", k=3)
    assert request_of(request, {}) is request
    assert request_of(request, {"k": 5}) == SearchRequest(text="a", k=5)


@pytest.mark.parametrize("options", [{"k": 0}, {"nonsense": 1}, {"text": None}])
def test_options_beside_a_request_are_checked_too(options):
    with pytest.raises(ValidationError):
        request_of(SearchRequest(text="a"), options)


def test_options_of_a_search():
    request = SearchRequest(text="a", filter={"k": 1}, max_distance=0.5, exact=True, ef_search=80)
    assert search_options(request) == {
        "where": {"k": 1},
        "max_distance": 0.5,
        "min_similarity": None,
        "min_distance": None,
        "exact": True,
        "settings": SearchSettings(ef_search=80),
    }


def test_what_comes_out_is_json():
    hit = SearchHit.from_hit(1, Hit(DOCUMENT, 0.25, 0.75))
    assert json.loads(hit.model_dump_json()) == {
        "rank": 1,
        "id": "1",
        "content": "text",
        "metadata": {"k": [1]},
        "distance": 0.25,
        "similarity": 0.75,
        "text_rank": None,
        "score": None,
        "highlight": None,
    }
    assert DocumentOut.from_document(DOCUMENT) == DocumentOut(id="1", content="text", metadata={"k": [1]})


def test_a_collection_as_its_caller_sees_it():
    given = {"name": "n", "dimension": 3, "distance": "l2", "language": "simple", "index": {}, "embedder": None}
    collection = Collection(id=7, **given, meta={"a": 1}, indexed_keys=["year"])
    assert CollectionInfo.from_collection(collection).model_dump() == {
        **given,
        "metadata": {"a": 1},
        "indexed_keys": ["year"],
    }


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (DocumentIn, {"text": "hunter2"}),
        (DocumentIn, {"content": ["hunter2"]}),
        (SearchRequest, {"text": "hunter2", "k": 0}),
    ],
)
def test_errors_hold_nothing_of_what_users_wrote(model, fields):
    with pytest.raises(ValidationError) as refused:
        model(**fields)
    assert "hunter2" not in str(refused.value)


def test_models_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        SearchRequest(text="a").k = 5
