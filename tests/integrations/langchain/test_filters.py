"""Filters of langchain-postgres: all are taken, and each answers as there or as docs/howto/langchain.md says."""

from __future__ import annotations

import pytest
from langchain_core.embeddings import Embeddings

from rowspace.errors import InvalidFilter
from rowspace.integrations.langchain import RowspaceVectorStore
from rowspace.testing import HashingEmbedder

METADATA = [
    {"s": "a", "n": 1, "b": True},
    {"s": "b", "n": 2, "b": False},
    {"s": "A%", "n": 2.5},
    {"s": "", "n": -1, "x": None},
    {"n": "1"},
    {"s": ["a", "b"]},
    {"s": {"k": 1}},
    {},
    {"s": "a\nb", "n": 10, "x": "y"},
    {"s": "ab_c", "n": 1.0},
    {"b": "True"},
]

ALL = [*range(len(METADATA))]

# What langchain-postgres 0.0.19 answered over the same metadata.
SAME = [
    ({"n": 1}, [0, 9]),
    ({"n": 1.0}, [0, 9]),
    ({"b": True}, [0]),
    ({"x": None}, [3]),
    ({"s": {"$eq": None}}, []),
    ({"n": {"$lt": 2}}, [0, 3, 9]),
    ({"n": {"$lte": 2}}, [0, 1, 3, 9]),
    ({"n": {"$gt": 1}}, [1, 2, 8]),
    ({"n": {"$gte": 2}}, [1, 2, 8]),
    ({"s": {"$in": ["a", "b"]}}, [0, 1]),
    ({"s": {"$in": []}}, []),
    ({"s": {"$nin": []}}, ALL),
    ({"n": {"$between": [1, 2]}}, [0, 1, 9]),
    ({"n": {"$between": [2, 1]}}, []),
    ({"s": {"$exists": True}}, [0, 1, 2, 3, 5, 6, 8, 9]),
    ({"s": {"$exists": False}}, [4, 7, 10]),
    ({"x": {"$exists": True}}, [3, 8]),
    ({"s": {"$like": "a%"}}, [0, 8, 9]),
    ({"s": {"$like": "a"}}, [0]),
    ({"s": {"$like": "a_b"}}, [8]),
    ({"s": {"$like": "ab\\_c"}}, [9]),
    ({"s": {"$ilike": "A%"}}, [0, 2, 8, 9]),
    ({"$and": [{"s": "a"}, {"n": 1}]}, [0]),
    ({"$AND": [{"s": "a"}, {"n": 1}]}, [0]),
    ({"s": "a", "n": 1}, [0]),
    ({"$Or": [{"n": 2}, {"n": {"$gt": 9}}]}, [1, 8]),
    ({"$not": {"s": {"$exists": True}}}, [4, 7, 10]),
    ({"$NOT": [{"s": {"$exists": True}}, {"b": {"$exists": True}}]}, [4, 7]),
    ({}, ALL),
]

# The filter, the answer here, the answer there, and why.
DIFFERENT = [
    ({"s": "a"}, [0], [0, 5], "an array is not its element"),
    ({"s": {"$gt": "a"}}, [1, 8, 9], [1, 5, 8, 9], "an array is not its element"),
    ({"s": ["a", "b"]}, [5], [0, 1, 5], "a list is equal to the same list"),
    ({"s": {"$contains": "a"}}, [5], None, "what asks for an element of an array"),
    ({"n": {"$ne": 1}}, [1, 2, 3, 4, 5, 6, 7, 8, 10], [1, 2, 3, 8], "$ne is the complement of $eq"),
    ({"x": {"$ne": None}}, [0, 1, 2, 4, 5, 6, 7, 8, 9, 10], [8], "$ne is the complement of $eq"),
    ({"s": {"$nin": ["a"]}}, ALL[1:], [1, 2, 3, 5, 6, 8, 9], "$nin is the complement of $in"),
    ({"$not": {"n": {"$gt": 1}}}, [0, 3, 4, 5, 6, 7, 9, 10], [0, 3, 5, 6, 7, 9, 10], "$not is the complement"),
    ({"n": {"$in": [1, 2]}}, [0, 1, 9], [0, 1, 4], "numbers are compared as numbers"),
    ({"n": {"$in": [1.0]}}, [0, 9], [9], "numbers are compared as numbers"),
    ({"n": {"$in": ["1"]}}, [4], [0, 4], "a number is not its text"),
    ({"n": {"$like": "1%"}}, [4], [0, 4, 8, 9], "a number is not its text"),
    ({"b": {"$in": [True]}}, [0], None, "booleans are values too"),
    ({"n": {"$gt": 1, "$lt": 10}}, [1, 2], None, "several operators of a key"),
    ({"s": {"$not": {"$eq": "a"}}}, ALL[1:], None, "$not below a key"),
    ({"s.k": 1}, [6], None, "paths"),
    ({"s": {"$exists": True}, "$or": [{"n": 1}, {"n": 2}]}, [0, 1, 9], None, "logic beside keys"),
]

REFUSED = [
    ({"b": {"$gt": False}}, "have no order"),
    ({"s": {"$in": "ab"}}, "expected a list"),
    ({"s": {"$eq": {"k": 1}}}, "got"),
    ({"$and": []}, "one or more filters"),
]


class Embedder(HashingEmbedder, Embeddings):
    pass


@pytest.fixture(scope="module")
def store(url):
    with RowspaceVectorStore(Embedder(16), connection=url, collection_name="filters") as store:
        store.add_texts(["text"] * len(METADATA), METADATA, ids=[str(n) for n in ALL])
        yield store


def answer(store, filter_):
    return sorted(int(document.id) for document in store.similarity_search("text", k=99, filter=filter_))


@pytest.mark.parametrize(("filter_", "expected"), SAME, ids=lambda value: str(value)[:50])
def test_the_same_answer(store, filter_, expected):
    assert answer(store, filter_) == expected


@pytest.mark.parametrize(("filter_", "here", "there", "why"), DIFFERENT, ids=lambda value: str(value)[:50])
def test_a_different_answer_with_its_reason(store, filter_, here, there, why):
    assert answer(store, filter_) == here != there, why


@pytest.mark.parametrize(("filter_", "message"), REFUSED, ids=str)
def test_what_is_refused(store, filter_, message):
    with pytest.raises(InvalidFilter, match=message):
        store.similarity_search("text", filter=filter_)
