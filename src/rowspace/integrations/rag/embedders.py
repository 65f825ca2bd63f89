"""An embedder whose errors can be shown to callers."""

from __future__ import annotations

from typing import Any

from rowspace.integrations.rag.failures import model_errors
from rowspace.services import Embedder
from rowspace.services.embedding import aembed_query, aembed_texts, checked_embedder, embedder_name

__all__ = ["Guarded", "guarded"]

_WHAT = "embedder"


class Guarded:
    """Wraps an embedder, and maps its errors to `ModelUnavailable` and `ModelError`. Hosted ones have their own errors.

    Args:
        embedder: the wrapped embedder, whose name it keeps.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    @property
    def name(self) -> str:
        """The name of the wrapped embedder."""
        return embedder_name(self._embedder)

    def embed_documents(self, texts: list[str], /) -> Any:
        """Return the result of the wrapped embedder."""
        with model_errors(_WHAT):
            return self._embedder.embed_documents(texts)

    def embed_query(self, text: str, /) -> Any:
        """Return the result of the wrapped embedder."""
        with model_errors(_WHAT):
            return self._embedder.embed_query(text)

    async def aembed_documents(self, texts: list[str], /) -> Any:
        """Return the result of the wrapped embedder, from a thread if it has no async methods."""
        with model_errors(_WHAT):
            return await aembed_texts(self._embedder, texts)

    async def aembed_query(self, text: str, /) -> Any:
        """Return the result of the wrapped embedder, from a thread if it has no async methods."""
        with model_errors(_WHAT):
            return await aembed_query(self._embedder, text)


def guarded(embedder: Embedder | None) -> Guarded | None:
    """Wrap an embedder so that its errors can be shown to callers. None stays None.

    Raises:
        ConfigurationError: the object is not an embedder.
    """
    checked = checked_embedder(embedder)
    return None if checked is None else Guarded(checked)
