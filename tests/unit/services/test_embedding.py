from __future__ import annotations

import threading

import numpy as np
import pytest

from rowspace import Collection, DocumentService
from rowspace.errors import ConfigurationError, DimensionMismatch, EmbedderMismatch, InvalidVector
from rowspace.services import SearchService
from rowspace.services.embedding import (
    aembed_query,
    aembed_texts,
    check_dimension,
    check_embedder,
    checked_embedder,
    embed_query,
    embed_texts,
    embedder_name,
)
from rowspace.testing import HashingEmbedder


class Embedder:
    """Returns the lengths of the texts and notes the thread."""

    def __init__(self, **attributes):
        vars(self).update(attributes)
        self.threads = []

    def embed_documents(self, texts):
        self.threads.append(threading.current_thread())
        return [[len(text), 1] for text in texts]

    def embed_query(self, text):
        self.threads.append(threading.current_thread())
        return [len(text), 1]


class AsyncEmbedder:
    name = "async"

    async def aembed_documents(self, texts):
        return np.array([[len(text), 2] for text in texts])

    async def aembed_query(self, text):
        return (len(text), 2)


@pytest.mark.parametrize(
    ("embedder", "name"),
    [
        (Embedder(name="mine", model_name="m", model="m"), "mine"),
        (Embedder(name="", model_name="m"), "m"),
        (Embedder(name=5, model="large"), "large"),
        (Embedder(model_id="amazon.titan-embed-text-v2:0"), "amazon.titan-embed-text-v2:0"),
        (Embedder(underlying_embeddings=Embedder(model="large")), "large"),
        (Embedder(), "Embedder"),
    ],
)
def test_names(embedder, name):
    assert embedder_name(embedder) == name


def test_an_embedder_of_another_space_is_refused():
    filled = Collection(name="news", embedder="large")
    check_embedder(filled, Embedder(name="large"))
    check_embedder(Collection(name="news"), Embedder(name="small"))
    with pytest.raises(
        EmbedderMismatch, match=r"'news' was filled by the embedder 'large', whose vectors .* with those of 'small'"
    ):
        check_embedder(filled, Embedder(name="small"))
    with pytest.raises(ConfigurationError, match="A text needs an embedder to become a vector"):
        check_embedder(filled, None)


def test_texts_become_a_matrix():
    matrix = embed_texts(Embedder(), ("a", "bc"))
    assert matrix.dtype == np.float32
    assert matrix.tolist() == [[1, 1], [2, 1]]
    assert embed_query(Embedder(), "abc").tolist() == [3, 1]


async def test_async_methods_are_used_where_there_are_any():
    assert (await aembed_texts(AsyncEmbedder(), ["a", "bc"])).tolist() == [[1, 2], [2, 2]]
    assert (await aembed_query(AsyncEmbedder(), "abc")).tolist() == [3, 2]


async def test_a_sync_embedder_does_not_hold_up_the_event_loop():
    embedder = Embedder()
    assert (await aembed_texts(embedder, ["a"])).tolist() == [[1, 1]]
    assert (await aembed_query(embedder, "ab")).tolist() == [2, 1]
    assert threading.current_thread() not in embedder.threads


@pytest.mark.parametrize(
    ("vectors", "kind"),
    [
        ([[1]], ConfigurationError),
        ([[1], [1, 2]], InvalidVector),
        ([1, 2], InvalidVector),
        ([[1], [None]], InvalidVector),
    ],
)
def test_what_an_embedder_returns_is_checked(vectors, kind):
    class Odd:
        def embed_documents(self, texts):
            return vectors

    with pytest.raises(kind):
        embed_texts(Odd(), ["a", "b"])


@pytest.mark.parametrize("number", [1, 3])
def test_a_wrong_number_of_vectors_is_named(number):
    class Lazy(Embedder):
        def embed_documents(self, texts):
            return [[1.0]] * number

    with pytest.raises(ConfigurationError, match=rf"The embedder 'lazy' returned {number} vectors for 2 texts\."):
        embed_texts(Lazy(name="lazy"), ["a", "b"])


def test_a_wrong_dimension_is_named_with_the_embedder():
    with pytest.raises(DimensionMismatch, match=r"The embedder 'mine' has 2 dimensions, .*'news' has 3"):
        check_dimension(Collection(name="news", dimension=3), Embedder(name="mine"), embed_query(Embedder(), "a"))


class Later:
    async def aembed_documents(self, texts):
        return [[1.0]] * len(texts)

    async def aembed_query(self, text):
        return [1.0]


def test_an_embedder_is_an_object_with_its_methods():
    for one in (None, HashingEmbedder(8), Later()):
        assert checked_embedder(one) is one
    for one, shown in {"local": "'local'", HashingEmbedder: "the class HashingEmbedder", len: "<built-in"}.items():
        for service in (DocumentService, SearchService):
            with pytest.raises(ConfigurationError, match=f"embed_documents and embed_query, .* got {shown}"):
                service(None, one)
