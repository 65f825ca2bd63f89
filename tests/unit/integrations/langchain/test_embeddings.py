"""Embedders of Rowspace's where LangChain asks for its own `Embeddings`."""

import numpy as np
import pytest
from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_core.stores import InMemoryByteStore

from rowspace.errors import ConfigurationError
from rowspace.integrations.langchain import RowspaceEmbeddings
from rowspace.services.embedding import embedder_name
from rowspace.testing import HashingEmbedder

TEXTS = ["tea", "茶", "tea"]


async def test_vectors_are_lists_of_numbers():
    embedder = HashingEmbedder(8)
    embeddings = RowspaceEmbeddings(embedder)
    expected = np.float32(embedder.embed_documents(TEXTS)).tolist()
    for made in (embeddings.embed_documents(TEXTS), await embeddings.aembed_documents(TEXTS)):
        assert made == expected
        assert {type(number) for vector in made for number in vector} == {float}
    query = np.float32(embedder.embed_query("tea")).tolist()
    assert embeddings.embed_query("tea") == await embeddings.aembed_query("tea") == query
    assert embeddings.embed_documents([]) == await embeddings.aembed_documents([]) == []


def test_a_cache_of_langchain_keeps_them_and_the_name():
    embedder = HashingEmbedder(8)
    cached = CacheBackedEmbeddings.from_bytes_store(
        RowspaceEmbeddings(embedder), InMemoryByteStore(), namespace="a", key_encoder="sha256"
    )
    first = cached.embed_documents(TEXTS)
    assert cached.embed_documents(TEXTS) == first == np.float32(embedder.embed_documents(TEXTS)).tolist()
    assert embedder_name(cached) == embedder_name(embedder)


def test_what_is_no_embedder_is_refused():
    for given in (None, "local", HashingEmbedder):
        with pytest.raises(ConfigurationError, match="embedder"):
            RowspaceEmbeddings(given)
