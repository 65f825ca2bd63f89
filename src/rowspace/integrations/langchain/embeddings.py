"""LangChain's `Embeddings` over an embedder of another make."""

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
    """An embedder, such as `LocalEmbedder`, for what of LangChain asks for `Embeddings` and for lists of numbers.

    The store itself takes any embedder as it is.

    Args:
        embedder: has `embed_documents` and `embed_query`, and may return arrays.

    Raises:
        ConfigurationError: it has not, or, from its methods, it returned another number of vectors.
        InvalidVector, DimensionMismatch: from its methods, it returned what is no vector, or several dimensions.
    """

    def __init__(self, embedder: Embedder) -> None:
        if checked_embedder(embedder) is None:
            message = "RowspaceEmbeddings needs an embedder, got None."
            raise ConfigurationError(message)
        self.embedder = embedder
        self.name: str = embedder_name(embedder)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector a text."""
        vectors: list[list[float]] = embed_texts(self.embedder, texts).tolist() if texts else []
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a query."""
        vector: list[float] = embed_query(self.embedder, text).tolist()
        return vector

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector a text, by the embedder's own coroutine, or in a thread."""
        vectors: list[list[float]] = (await aembed_texts(self.embedder, texts)).tolist() if texts else []
        return vectors

    async def aembed_query(self, text: str) -> list[float]:
        """Return the vector of a query, by the embedder's own coroutine, or in a thread."""
        vector: list[float] = (await aembed_query(self.embedder, text)).tolist()
        return vector
