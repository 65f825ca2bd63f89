from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, strategies as st

from rowspace.errors import ConfigurationError
from rowspace.services import embedder_name
from rowspace.testing import HashingEmbedder


def similarity(one, two, embedder=HashingEmbedder()):  # noqa: B008
    return float(np.dot(embedder.embed_query(one), embedder.embed_query(two)))


@given(st.text(), st.integers(1, 100))
def test_every_text_is_a_unit_vector(text, dimension):
    vector = HashingEmbedder(dimension).embed_query(text)
    assert len(vector) == dimension
    assert np.linalg.norm(vector) == pytest.approx(1)


@pytest.mark.parametrize(
    ("query", "near", "far"),
    [
        ("vector database", "a database of vectors", "apple pie with cinnamon"),
        ("Straße", "STRASSE", "Gasse"),
        ("running", "runner", "walked"),
        ("数据库", "向量数据库的索引", "今天的天气很好"),
        ("ベクトル検索", "ベクトルの検索", "天気予報"),
    ],
)
def test_texts_that_share_words_are_near(query, near, far):
    assert similarity(query, near) > similarity(query, far) + 0.2


def test_documents_and_queries_are_the_same():
    embedder = HashingEmbedder(16)
    assert embedder.embed_documents(["a", "b"]) == [embedder.embed_query("a"), embedder.embed_query("b")]
    assert all(type(number) is float for number in embedder.embed_query("a"))


def test_the_vectors_are_the_same_in_every_process():
    code = "from rowspace.testing import HashingEmbedder; print(HashingEmbedder(8).embed_query('vector database'))"
    command = [sys.executable, "-c", code]
    printed = {subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)}
    assert printed == {f"{HashingEmbedder(8).embed_query('vector database')}\n"}


def test_the_name_says_the_dimension():
    assert embedder_name(HashingEmbedder()) == "hashing-64"
    assert repr(HashingEmbedder(32)) == "HashingEmbedder(32)"


@pytest.mark.parametrize("dimension", [0, -1, 1.0, "8", True])
def test_a_dimension_that_cannot_be(dimension):
    with pytest.raises(ConfigurationError, match="a dimension of at least 1 for HashingEmbedder, got "):
        HashingEmbedder(dimension)
