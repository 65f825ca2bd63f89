"""An embedder with errors that whoever asks may be told of."""

from __future__ import annotations

from typing import Any

from rowspace.integrations.rag.failures import model_errors
from rowspace.services import Embedder
from rowspace.services.embedding import aembed_query, aembed_texts, checked_embedder, embedder_name

__all__ = ["Guarded", "guarded"]

_WHAT = "embedder"


class Guarded:
    """An embedder whose own errors are `ModelUnavailable` and `ModelError`: a hosted one fails in its library's words.

    Args:
        embedder: the one inside; it gives its name.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    @property
    def name(self) -> str:
        """The name of the embedder inside."""
        return embedder_name(self._embedder)

    def embed_documents(self, texts: list[str], /) -> Any:
        """Return what the embedder inside returns."""
        with model_errors(_WHAT):
            return self._embedder.embed_documents(texts)

    def embed_query(self, text: str, /) -> Any:
        """Return what the embedder inside returns."""
        with model_errors(_WHAT):
            return self._embedder.embed_query(text)

    async def aembed_documents(self, texts: list[str], /) -> Any:
        """Return what the embedder inside returns, by a thread where it has no async methods."""
        with model_errors(_WHAT):
            return await aembed_texts(self._embedder, texts)

    async def aembed_query(self, text: str, /) -> Any:
        """Return what the embedder inside returns, by a thread where it has no async methods."""
        with model_errors(_WHAT):
            return await aembed_query(self._embedder, text)


def guarded(embedder: Embedder | None) -> Guarded | None:
    """Return an embedder with errors that a caller may be told of; None stays None.

    Raises:
        ConfigurationError: it is no embedder.
    """
    checked = checked_embedder(embedder)
    return None if checked is None else Guarded(checked)
