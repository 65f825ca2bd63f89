"""LangChain's `Embeddings` for any other embedder."""

from __future__ import annotations

from langchain_core.embeddings import Embeddings

from rowspace.errors import ConfigurationError
from rowspace.services.embedding import (
    Embedder,
    aembed_query,
    aembed_texts,
    checked_embedder,
    embed_query,
    embed_texts,
    embedder_name,
)

__all__ = ["RowspaceEmbeddings"]


class RowspaceEmbeddings(Embeddings):
    """Wraps an embedder, such as `LocalEmbedder`, for parts of LangChain that need `Embeddings` and lists of floats.

    The store itself accepts any embedder directly.

    Args:
        embedder: an object with `embed_documents` and `embed_query`, which may return arrays.

    Raises:
        ConfigurationError: the object lacks these methods, or they return a wrong number of vectors.
        InvalidVector, DimensionMismatch: the methods return invalid vectors, or vectors of different dimensions.
    """

    def __init__(self, embedder: Embedder) -> None:
        if checked_embedder(embedder) is None:
            message = "RowspaceEmbeddings needs an embedder, got None."
            raise ConfigurationError(message)
        self.embedder = embedder
        self.name: str = embedder_name(embedder)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector per text."""
        vectors: list[list[float]] = embed_texts(self.embedder, texts).tolist() if texts else []
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a query."""
        vector: list[float] = embed_query(self.embedder, text).tolist()
        return vector

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector per text, from the embedder's own coroutine or from a thread."""
        vectors: list[list[float]] = (await aembed_texts(self.embedder, texts)).tolist() if texts else []
        return vectors

    async def aembed_query(self, text: str) -> list[float]:
        """Return the vector of a query, from the embedder's own coroutine or from a thread."""
        vector: list[float] = (await aembed_query(self.embedder, text)).tolist()
        return vector
