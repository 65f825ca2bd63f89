"""What the constructor of the store takes, without a database."""

from __future__ import annotations

import inspect
import math
from enum import StrEnum

import pytest

from rowspace import Distance
from rowspace.errors import ConfigurationError
from rowspace.integrations.langchain import DistanceStrategy, RowspaceVectorStore
from rowspace.integrations.langchain.options import (
    CollectionOptions,
    distance_of,
    refuse_unknown,
    relevance,
)
from rowspace.services import CollectionInfo

INFO = CollectionInfo(
    name="c", dimension=4, distance="cosine", language="simple", embedder=None, index={}, metadata={}, indexed_keys=[]
)


class Theirs(StrEnum):
    """As langchain-postgres has it."""

    INNER = "inner"


@pytest.mark.parametrize(
    ("given", "distance"),
    [
        (None, None),
        (DistanceStrategy.EUCLIDEAN, Distance.L2),
        (DistanceStrategy.COSINE, Distance.COSINE),
        (DistanceStrategy.MAX_INNER_PRODUCT, Distance.INNER_PRODUCT),
        (Theirs.INNER, Distance.INNER_PRODUCT),
        (Distance.L1, Distance.L1),
        ("Euclidean", Distance.L2),
        ("max_inner_product", Distance.INNER_PRODUCT),
    ],
    ids=str,
)
def test_distances_by_any_name(given, distance):
    assert distance_of(given) is distance


@pytest.mark.parametrize("given", ["hamming", "manhattan", 5])
def test_what_is_no_distance(given):
    with pytest.raises(ConfigurationError):
        distance_of(given)


@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.L2, Distance.L1, Distance.INNER_PRODUCT])
def test_relevance_is_from_0_to_1_and_falls(distance):
    score = relevance(distance)
    # Only an inner product is a distance below zero.
    least = -5.0 if distance is Distance.INNER_PRODUCT else 0.0
    scores = [score(value) for value in (-5.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 5.0) if value >= least]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= one <= 1 for one in scores)
    assert score(math.nan) == 0


def test_a_collection_that_is_not_what_was_asked_for():
    CollectionOptions().check(INFO)
    CollectionOptions(dimension=4, distance=Distance.COSINE).check(INFO)
    with pytest.raises(ConfigurationError, match="has the dimension 4, but 5 was requested"):
        CollectionOptions(dimension=5).check(INFO)
    with pytest.raises(ConfigurationError, match="has the distance cosine, but l2 was requested"):
        CollectionOptions(distance=Distance.L2).check(INFO)


@pytest.mark.parametrize("extra", [{"indx": None}, {"distance": "l2"}, "index"])
def test_options_of_a_collection_that_there_are_not(extra):
    with pytest.raises(ConfigurationError, match="a dict with any of index, indexed_keys, language, got"):
        CollectionOptions(extra=extra)


def test_the_dimension_of_a_new_collection():
    given = [CollectionOptions(dimension=dimension).create_keywords()["dimension"] for dimension in (5, 0, None)]
    assert given == [5, 0, None]


def test_keywords_that_nobody_knows_are_named():
    refuse_unknown({"a": 1}, known={"a"})
    with pytest.raises(ConfigurationError, match=r"for the store: a, b\. Omit it"):
        refuse_unknown({"a": 1, "b": 2})


def test_every_search_is_for_as_many_documents_as_those_of_langchain():
    methods = {
        name: inspect.signature(method) for name, method in inspect.getmembers(RowspaceVectorStore, inspect.isfunction)
    }
    given = {name: made.parameters["k"].default for name, made in methods.items() if "k" in made.parameters}
    assert {"ahybrid_search", "hybrid_search_with_score", "max_marginal_relevance_search"} <= {*given}
    assert {name for name, k in given.items() if k != 4} == set()
