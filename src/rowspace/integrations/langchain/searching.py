"""What the store searches, sync and async: by vector, with distances or relevances, for variety, and hybrid."""

from __future__ import annotations

from typing import Any

from langchain_core.documents import Document

from rowspace.integrations._retrieval import Mode, Retrieval, aembedded, embedded
from rowspace.integrations.langchain.base import StoreBase, documents_of, scored
from rowspace.integrations.langchain.options import refuse_unknown
from rowspace.repositories.searches import SearchOptions
from rowspace.repositories.subjects import Where
from rowspace.services import SearchHit
from rowspace.statements.hybrid import Fusion, FusionMethod

__all__ = ["Scored", "SearchingStore", "by_vector"]

Scored = list[tuple[Document, float]]

_OPTIONS = frozenset(SearchOptions.__annotations__) - {"with_embedding"}
_FIELDS = {
    "vector": frozenset({"k", "where"}),
    "mmr": frozenset({"k", "where", "fetch_k", "lambda_mult"}),
    "hybrid": frozenset({"k", "where", "fusion"}),
}


class SearchingStore(StoreBase):
    """Searches. A score is a distance, smaller is nearer; a relevance is from 0 to 1, larger is nearer.

    Further keywords of every search by vector are those of `rowspace.repositories.SearchOptions`: `max_distance`,
    `min_distance`, `min_similarity`, `recall`, `exact`, `settings`. Any other is a ConfigurationError.
    """

    def similarity_search(self, query: str, k: int = 4, filter: Where | None = None, **more: Any) -> list[Document]:
        """Return the k nearest documents to a text, nearest first.

        Raises:
            EmbedderMismatch: the collection was filled by another embedder.
            InvalidFilter, InvalidSetting: the filter is malformed; a number is out of range.
        """
        return documents_of(self._search(query, "vector", k=k, where=filter, **more))

    async def asimilarity_search(
        self, query: str, k: int = 4, filter: Where | None = None, **more: Any
    ) -> list[Document]:
        """Return the k nearest documents to a text, nearest first."""
        return documents_of(await self._asearch(query, "vector", k=k, where=filter, **more))

    def similarity_search_with_score(self, query: str, k: int = 4, filter: Where | None = None, **more: Any) -> Scored:
        """Return the k nearest documents to a text with their distances, nearest first."""
        return scored(self._search(query, "vector", k=k, where=filter, **more))

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, filter: Where | None = None, **more: Any
    ) -> Scored:
        """Return the k nearest documents to a text with their distances, nearest first."""
        return scored(await self._asearch(query, "vector", k=k, where=filter, **more))

    def similarity_search_by_vector(
        self, embedding: Any, k: int = 4, filter: Where | None = None, **more: Any
    ) -> list[Document]:
        """Return the k nearest documents to a vector, nearest first."""
        return documents_of(self._find(by_vector(embedding, k=k, where=filter, **more)))

    async def asimilarity_search_by_vector(
        self, embedding: Any, k: int = 4, filter: Where | None = None, **more: Any
    ) -> list[Document]:
        """Return the k nearest documents to a vector, nearest first."""
        return documents_of(await self._afind(by_vector(embedding, k=k, where=filter, **more)))

    def similarity_search_with_score_by_vector(
        self, embedding: Any, k: int = 4, filter: Where | None = None, **more: Any
    ) -> Scored:
        """Return the k nearest documents to a vector with their distances, nearest first."""
        return scored(self._find(by_vector(embedding, k=k, where=filter, **more)))

    async def asimilarity_search_with_score_by_vector(
        self, embedding: Any, k: int = 4, filter: Where | None = None, **more: Any
    ) -> Scored:
        """Return the k nearest documents to a vector with their distances, nearest first."""
        return scored(await self._afind(by_vector(embedding, k=k, where=filter, **more)))

    def hybrid_search(self, query: str, k: int = 4, filter: Where | None = None, **more: Any) -> list[Document]:
        """Return the k best documents by vector and by keyword, best first; see `hybrid_search_with_score`."""
        return documents_of(self._search(query, "hybrid", k=k, where=filter, **more))

    async def ahybrid_search(self, query: str, k: int = 4, filter: Where | None = None, **more: Any) -> list[Document]:
        """Return the k best documents by vector and by keyword, best first; see `hybrid_search_with_score`."""
        return documents_of(await self._asearch(query, "hybrid", k=k, where=filter, **more))

    def hybrid_search_with_score(
        self, query: str, k: int = 4, filter: Where | None = None, *, fusion: Fusion | FusionMethod = "rrf", **more: Any
    ) -> Scored:
        """Return the k best documents by vector and by keyword with their fused scores, larger is better, best first.

        Args:
            query: what is searched by meaning and by keyword: words, `"a phrase"`, `or`, `-without`.
            k: documents wanted.
            filter: a metadata filter, or conditions on `Document`.
            fusion: `rrf`, `weighted`, or a `rowspace.Fusion` with weights and numbers of candidates.
            more: `exact`, `settings`.
        """
        return scored(self._search(query, "hybrid", k=k, where=filter, fusion=fusion, **more), "score")

    async def ahybrid_search_with_score(
        self, query: str, k: int = 4, filter: Where | None = None, *, fusion: Fusion | FusionMethod = "rrf", **more: Any
    ) -> Scored:
        """Return the k best documents by vector and by keyword with their scores; see `hybrid_search_with_score`."""
        return scored(await self._asearch(query, "hybrid", k=k, where=filter, fusion=fusion, **more), "score")

    def search(self, query: str, search_type: str, **more: Any) -> list[Document]:
        """Return documents by `similarity`, `similarity_score_threshold`, `mmr` or `hybrid`."""
        if search_type == "hybrid":
            return self.hybrid_search(query, **more)
        return super().search(query, search_type, **more)

    async def asearch(self, query: str, search_type: str, **more: Any) -> list[Document]:
        """Return documents by `similarity`, `similarity_score_threshold`, `mmr` or `hybrid`."""
        if search_type == "hybrid":
            return await self.ahybrid_search(query, **more)
        return await super().asearch(query, search_type, **more)

    async def _asimilarity_search_with_relevance_scores(self, query: str, k: int = 4, **more: Any) -> Scored:
        found = await self.asimilarity_search_with_score(query, k, **more)
        score = self._relevance_of(await self._aready())
        return [(document, score(distance)) for document, distance in found]

    def _search(self, query: str, mode: Mode, **more: Any) -> list[SearchHit]:
        wanted = _wanted(mode, more)
        return self._find(Retrieval(**embedded(self._embeddings, query, mode), **wanted))

    async def _asearch(self, query: str, mode: Mode, **more: Any) -> list[SearchHit]:
        wanted = _wanted(mode, more)
        return await self._afind(Retrieval(**await aembedded(self._embeddings, query, mode), **wanted))

    def _find(self, retrieval: Retrieval) -> list[SearchHit]:
        self._ready()
        return self._sides.run(lambda session: retrieval.find(session, self.collection_name))

    async def _afind(self, retrieval: Retrieval) -> list[SearchHit]:
        await self._aready()
        return await self._sides.arun(lambda session: retrieval.find(session, self.collection_name))


def by_vector(embedding: Any, mode: Mode = "vector", **more: Any) -> Retrieval:
    """Return the retrieval by a vector; keywords that the mode does not know are refused."""
    return Retrieval(vector=embedding, mode=mode, **_wanted(mode, more))


def _wanted(mode: Mode, given: dict[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in given.items() if name in _FIELDS[mode]}
    options = {name: value for name, value in given.items() if name not in fields}
    refuse_unknown(options, known={"exact", "settings"} if mode == "hybrid" else _OPTIONS)
    return {**fields, "options": options}
