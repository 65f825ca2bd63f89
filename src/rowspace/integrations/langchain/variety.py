"""Searches for variety, by maximal marginal relevance, sync and async."""

from __future__ import annotations

from typing import Any

from langchain_core.documents import Document

from rowspace.integrations.langchain.base import documents_of, scored
from rowspace.integrations.langchain.searching import Scored, SearchingStore
from rowspace.repositories.subjects import Where

__all__ = ["VarietyStore"]


class VarietyStore(SearchingStore):
    """Chooses k diverse documents from the `fetch_k` nearest, in the order of their choice.

    Documents are compared by the collection's distance. A `fetch_k` below k counts as k. Scores are distances to the
    query.
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
        """Return k diverse documents near a text.

        Args:
            query: the text.
            k: the number of documents.
            fetch_k: the number of candidates.
            lambda_mult: from 1 (only nearness counts) to 0 (only diversity counts).
            filter: a metadata filter, or conditions on `Document`.
            more: the options of every vector search.
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
        """Return k diverse documents near a text."""
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
        """Return k diverse documents near a text, with their distances."""
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
        """Return k diverse documents near a text, with their distances."""
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
        """Return k diverse documents near a vector."""
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
        """Return k diverse documents near a vector."""
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
        """Return k diverse documents near a vector, with their distances."""
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
        """Return k diverse documents near a vector, with their distances."""
        return scored(await self._asearch_by(embedding, "mmr", more, **_wanted(k, fetch_k, lambda_mult, filter)))


def _wanted(k: int, fetch_k: int, lambda_mult: float, where: Where | None) -> dict[str, Any]:
    # LangChain's default of 20 candidates must not rule out a larger k.
    return {"k": k, "fetch_k": max(k, fetch_k), "lambda_mult": lambda_mult, "where": where}
