"""Searches for variety, by maximal marginal relevance, sync and async."""

from __future__ import annotations

from typing import Any

from langchain_core.documents import Document

from rowspace.integrations.langchain.base import documents_of, scored
from rowspace.integrations.langchain.searching import Scored, SearchingStore
from rowspace.repositories.subjects import Where

__all__ = ["VarietyStore"]


class VarietyStore(SearchingStore):
    """Chooses k of the `fetch_k` nearest documents that are not all alike, in the order of their choice.

    Likeness is by the collection's own distance. `fetch_k` below k counts as k. The scores are distances to the query.
    """

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Where | None = None,
        **more: Any,
    ) -> list[Document]:
        """Return k documents near to a text that are not all alike.

        Args:
            query: the text.
            k: documents wanted.
            fetch_k: candidates.
            lambda_mult: from 1 for the nearest alone to 0 for variety alone.
            filter: a metadata filter, or conditions on `Document`.
            more: the keywords of every search by vector.
        """
        return documents_of(self._search(query, "mmr", more, **_wanted(k, fetch_k, lambda_mult, filter)))

    async def amax_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Where | None = None,
        **more: Any,
    ) -> list[Document]:
        """Return k documents near to a text that are not all alike."""
        return documents_of(await self._asearch(query, "mmr", more, **_wanted(k, fetch_k, lambda_mult, filter)))

    def max_marginal_relevance_search_with_score(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Where | None = None,
        **more: Any,
    ) -> Scored:
        """Return k documents near to a text that are not all alike, with their distances."""
        return scored(self._search(query, "mmr", more, **_wanted(k, fetch_k, lambda_mult, filter)))

    async def amax_marginal_relevance_search_with_score(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Where | None = None,
        **more: Any,
    ) -> Scored:
        """Return k documents near to a text that are not all alike, with their distances."""
        return scored(await self._asearch(query, "mmr", more, **_wanted(k, fetch_k, lambda_mult, filter)))

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: Any,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Where | None = None,
        **more: Any,
    ) -> list[Document]:
        """Return k documents near to a vector that are not all alike."""
        return documents_of(self._search_by(embedding, "mmr", more, **_wanted(k, fetch_k, lambda_mult, filter)))

    async def amax_marginal_relevance_search_by_vector(
        self,
        embedding: Any,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Where | None = None,
        **more: Any,
    ) -> list[Document]:
        """Return k documents near to a vector that are not all alike."""
        return documents_of(await self._asearch_by(embedding, "mmr", more, **_wanted(k, fetch_k, lambda_mult, filter)))

    def max_marginal_relevance_search_with_score_by_vector(
        self,
        embedding: Any,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Where | None = None,
        **more: Any,
    ) -> Scored:
        """Return k documents near to a vector that are not all alike, with their distances."""
        return scored(self._search_by(embedding, "mmr", more, **_wanted(k, fetch_k, lambda_mult, filter)))

    async def amax_marginal_relevance_search_with_score_by_vector(
        self,
        embedding: Any,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Where | None = None,
        **more: Any,
    ) -> Scored:
        """Return k documents near to a vector that are not all alike, with their distances."""
        return scored(await self._asearch_by(embedding, "mmr", more, **_wanted(k, fetch_k, lambda_mult, filter)))


def _wanted(k: int, fetch_k: int, lambda_mult: float, where: Where | None) -> dict[str, Any]:
    # LangChain's default of 20 candidates must not refuse a k above it.
    return {"k": k, "fetch_k": max(k, fetch_k), "lambda_mult": lambda_mult, "where": where}
