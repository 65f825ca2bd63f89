"""The embedder protocol, which is LangChain's, and how it is called from sync and async code."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rowspace.errors import ConfigurationError, DimensionMismatch, EmbedderMismatch
from rowspace.models import Collection
from rowspace.vectors import as_matrix, as_vector

__all__ = [
    "Embedder",
    "aembed_query",
    "aembed_texts",
    "check_dimension",
    "check_embedder",
    "checked_embedder",
    "embed_query",
    "embed_texts",
    "embedder_name",
]

Float32 = NDArray[np.float32]


class Embedder(Protocol):
    """Any object with these two methods; async services call `aembed_documents` and `aembed_query` if it has them.

    Every LangChain `Embeddings` is one. Its `name` attribute, if it has one, is recorded with a collection.
    """

    def embed_documents(self, texts: list[str], /) -> Any:
        """Return one vector per text: a list of lists, or an array of shape (texts, dimension)."""

    def embed_query(self, text: str, /) -> Any:
        """Return the vector of a query, of shape (dimension,)."""


def checked_embedder(embedder: Embedder | None) -> Embedder | None:
    """Return the embedder that was passed to a service, checked.

    Raises:
        ConfigurationError: it lacks the methods of an embedder, or is a class instead of an instance.
    """
    if embedder is None or (not isinstance(embedder, type) and all(map(partial(_has, embedder), _METHODS))):
        return embedder
    what = f"the class {embedder.__name__}" if isinstance(embedder, type) else f"{embedder!r:.60}"
    message = f"Expected an embedder with embed_documents and embed_query, as in LangChain's Embeddings, got {what}."
    raise ConfigurationError(message)


_METHODS = ("embed_documents", "embed_query")


def _has(embedder: Any, method: str) -> bool:
    return hasattr(embedder, method) or hasattr(embedder, f"a{method}")


def embedder_name(embedder: Any) -> str:
    """Return the name to record: `name`, else the model's name, else the name of the class.

    For LangChain's `CacheBackedEmbeddings` it is the name of the embedder inside, since the vectors are the same.
    """
    for attribute in ("name", "model_name", "model", "model_id"):
        value = getattr(embedder, attribute, None)
        if isinstance(value, str) and value:
            return value
    inside = getattr(embedder, "underlying_embeddings", None)
    return type(embedder).__name__ if inside is None else embedder_name(inside)


def check_embedder(collection: Collection, embedder: Any) -> None:
    """Refuse an embedder other than the one that filled the collection, whose vectors are not comparable.

    Raises:
        EmbedderMismatch: the collection was filled by another one.
        ConfigurationError: there is no embedder.
    """
    if embedder is None:
        message = "A text needs an embedder to become a vector. Pass an embedder to the service, or pass vectors."
        raise ConfigurationError(message)
    name = embedder_name(embedder)
    if collection.embedder is not None and collection.embedder != name:
        message = (
            f"The collection {collection.name!r} was filled by the embedder {collection.embedder!r}, whose vectors "
            f"cannot be compared with those of {name!r}. Use that embedder, or another collection."
        )
        raise EmbedderMismatch(message)


def check_dimension(collection: Collection, embedder: Any, vector: Float32) -> None:
    """Refuse an embedding whose dimension is not the collection's, before a row is blamed for it.

    Raises:
        DimensionMismatch: the embedder makes vectors of another dimension.
    """
    made = len(vector)
    if made != collection.dimension:
        message = (
            f"The embedder {embedder_name(embedder)!r} has {made} dimensions, the collection {collection.name!r} has "
            f"{collection.dimension}. Use another embedder, or another collection."
        )
        raise DimensionMismatch(message)


def embed_texts(embedder: Any, texts: Sequence[str]) -> Float32:
    """Return the embeddings of texts as a float32 matrix of shape (texts, dimension)."""
    return _checked(embedder, embedder.embed_documents(list(texts)), texts)


async def aembed_texts(embedder: Any, texts: Sequence[str]) -> Float32:
    """Return the embeddings of texts; an embedder without `aembed_documents` runs in a thread."""
    if hasattr(embedder, "aembed_documents"):
        return _checked(embedder, await embedder.aembed_documents(list(texts)), texts)
    return await asyncio.to_thread(embed_texts, embedder, texts)


def embed_query(embedder: Any, text: str) -> Float32:
    """Return the embedding of a query as a float32 vector of shape (dimension,)."""
    return as_vector(embedder.embed_query(text))


async def aembed_query(embedder: Any, text: str) -> Float32:
    """Return the embedding of a query; an embedder without `aembed_query` runs in a thread."""
    if hasattr(embedder, "aembed_query"):
        return as_vector(await embedder.aembed_query(text))
    return await asyncio.to_thread(embed_query, embedder, text)


def _checked(embedder: Any, vectors: Any, texts: Sequence[str]) -> Float32:
    matrix = as_matrix(vectors)
    if len(matrix) != len(texts):
        message = f"The embedder {embedder_name(embedder)!r} returned {len(matrix)} vectors for {len(texts)} texts."
        raise ConfigurationError(message)
    return matrix
