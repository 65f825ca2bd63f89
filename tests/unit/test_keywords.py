"""The keywords that a method takes for a request are the fields of the request."""

from __future__ import annotations

from typing import get_args, get_type_hints

from rowspace import Distance
from rowspace.distance import DistanceName
from rowspace.integrations.rag import AnswerRequest
from rowspace.integrations.rag.models import AnswerOptions
from rowspace.repositories import CollectionOptions, CollectionRepository
from rowspace.services import SearchFields, SearchRequest
from rowspace.services.requests import SearchKeywords, SharedKeywords


def test_of_a_search():
    assert get_type_hints(SharedKeywords).keys() == SearchFields.model_fields.keys()
    assert get_type_hints(SearchKeywords).keys() == SearchRequest.model_fields.keys()


def test_of_an_answer():
    assert get_type_hints(AnswerOptions).keys() == AnswerRequest.model_fields.keys() - {"question"}


def test_of_a_collection():
    taken = get_type_hints(CollectionRepository.create).keys() - {"name", "dimension", "return"}
    assert get_type_hints(CollectionOptions).keys() == taken


def test_names_of_distances():
    assert [*Distance] == [*get_args(DistanceName)]
