"""The searches of the store, sync and async: by vector, with distances or relevances, for variety, and hybrid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from langchain_core.documents import Document
from sqlalchemy.orm import Session

from rowspace.errors import ConfigurationError
from rowspace.integrations.langchain.base import StoreBase, documents_of, scored
from rowspace.integrations.langchain.options import refuse_unknown
from rowspace.repositories import CollectionRepository, DocumentRepository, HybridRepository, SearchRepository
from rowspace.repositories.searches import SearchOptions
from rowspace.repositories.subjects import Where
from rowspace.services import SearchHit
from rowspace.services.embedding import aembed_query, check_embedder, embed_query
from rowspace.statements.hybrid import Fusion, FusionMethod

__all__ = ["Scored", "SearchingStore"]

Scored = list[tuple[Document, float]]
Mode = Literal["vector", "mmr", "hybrid"]

_BY_VECTOR = frozenset(SearchOptions.__annotations__) - {"with_embedding"} | {"k", "filter"}
#: The keyword arguments of each mode. Except for the filter, they are those of the repositories.
_KNOWN: dict[Mode, frozenset[str]] = {
    "vector": _BY_VECTOR,
    "mmr": _BY_VECTOR | {"fetch_k", "lambda_mult"},
    "hybrid": frozenset({"k", "filter", "fusion", "exact", "settings"}),
}


class SearchingStore(StoreBase):
    """The searches of the store. A smaller distance is nearer. A relevance is from 0 to 1, and a larger one is nearer.

    Every vector search also accepts the options of `rowspace.repositories.SearchOptions`: `max_distance`,
    `min_distance`, `min_similarity`, `recall`, `exact`, `settings`. Other keyword arguments raise ConfigurationError.
    """

    def similarity_search(self, query: str, k: int = 4, filter: Where | None = None, **more: Any) -> list[Document]:
        """Return the k nearest documents to a text, nearest first.

        Raises:
            EmbedderMismatch: another embedder filled the collection.
            InvalidFilter, InvalidSetting: the filter is malformed, or a number is out of range.
        """
        return documents_of(self._search(query, "vector", more, k=k, where=filter))

    async def asimilarity_search(
        self, query: str, k: int = 4, filter: Where | None = None, **more: Any
    ) -> list[Document]:
        """Return the k nearest documents to a text, nearest first."""
        return documents_of(await self._asearch(query, "vector", more, k=k, where=filter))

    def similarity_search_with_score(self, query: str, k: int = 4, filter: Where | None = None, **more: Any) -> Scored:
        """Return the k nearest documents to a text with their distances, nearest first."""
        return scored(self._search(query, "vector", more, k=k, where=filter))

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, filter: Where | None = None, **more: Any
    ) -> Scored:
        """Return the k nearest documents to a text with their distances, nearest first."""
        return scored(await self._asearch(query, "vector", more, k=k, where=filter))

    def similarity_search_by_vector(
        self, embedding: Any, k: int = 4, filter: Where | None = None, **more: Any
    ) -> list[Document]:
        """Return the k nearest documents to a vector, nearest first."""
        return documents_of(self._search_by(embedding, "vector", more, k=k, where=filter))

    async def asimilarity_search_by_vector(
        self, embedding: Any, k: int = 4, filter: Where | None = None, **more: Any
    ) -> list[Document]:
        """Return the k nearest documents to a vector, nearest first."""
        return documents_of(await self._asearch_by(embedding, "vector", more, k=k, where=filter))

    def similarity_search_with_score_by_vector(
        self, embedding: Any, k: int = 4, filter: Where | None = None, **more: Any
    ) -> Scored:
        """Return the k nearest documents to a vector with their distances, nearest first."""
        return scored(self._search_by(embedding, "vector", more, k=k, where=filter))

    async def asimilarity_search_with_score_by_vector(
        self, embedding: Any, k: int = 4, filter: Where | None = None, **more: Any
    ) -> Scored:
        """Return the k nearest documents to a vector with their distances, nearest first."""
        return scored(await self._asearch_by(embedding, "vector", more, k=k, where=filter))

    def hybrid_search(self, query: str, k: int = 4, filter: Where | None = None, **more: Any) -> list[Document]:
        """Return the k best documents by vector and keyword, best first; see `hybrid_search_with_score`."""
        return documents_of(self._search(query, "hybrid", more, k=k, where=filter))

    async def ahybrid_search(self, query: str, k: int = 4, filter: Where | None = None, **more: Any) -> list[Document]:
        """Return the k best documents by vector and keyword, best first; see `hybrid_search_with_score`."""
        return documents_of(await self._asearch(query, "hybrid", more, k=k, where=filter))

    def hybrid_search_with_score(
        self, query: str, k: int = 4, filter: Where | None = None, *, fusion: Fusion | FusionMethod = "rrf", **more: Any
    ) -> Scored:
        """Return the k best documents by vector and keyword, best first, with their fused scores (larger is better).

        Args:
            query: the text to search by meaning and by keyword: words, `"a phrase"`, `or`, `-without`.
            k: the number of documents.
            filter: a metadata filter, or conditions on `Document`.
            fusion: `rrf`, `weighted`, or a `rowspace.Fusion` with weights and numbers of candidates.
            more: `exact`, `settings`.
        """
        return scored(self._search(query, "hybrid", more, k=k, where=filter, fusion=fusion), "score")

    async def ahybrid_search_with_score(
        self, query: str, k: int = 4, filter: Where | None = None, *, fusion: Fusion | FusionMethod = "rrf", **more: Any
    ) -> Scored:
        """Return the k best documents by vector and keyword with their scores; see `hybrid_search_with_score`."""
        return scored(await self._asearch(query, "hybrid", more, k=k, where=filter, fusion=fusion), "score")

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

    def _search(self, query: str, mode: Mode, more: dict[str, Any], **options: Any) -> list[SearchHit]:
        refuse_unknown(more, known=_KNOWN[mode])
        # Embed outside the transaction, so that no connection is idle meanwhile.
        return self._find(embed_query(self._needed_embedder(), query), mode, query, options | more)

    async def _asearch(self, query: str, mode: Mode, more: dict[str, Any], **options: Any) -> list[SearchHit]:
        refuse_unknown(more, known=_KNOWN[mode])
        return await self._afind(await aembed_query(self._needed_embedder(), query), mode, query, options | more)

    def _search_by(self, vector: Any, mode: Mode, more: dict[str, Any], **options: Any) -> list[SearchHit]:
        refuse_unknown(more, known=_KNOWN[mode])
        return self._find(vector, mode, None, options | more)

    async def _asearch_by(self, vector: Any, mode: Mode, more: dict[str, Any], **options: Any) -> list[SearchHit]:
        refuse_unknown(more, known=_KNOWN[mode])
        return await self._afind(vector, mode, None, options | more)

    def _find(self, vector: Any, mode: Mode, text: str | None, options: dict[str, Any]) -> list[SearchHit]:
        self._ready()
        return self._sides.run(lambda session: self._hits(session, vector, mode, text, options))

    async def _afind(self, vector: Any, mode: Mode, text: str | None, options: dict[str, Any]) -> list[SearchHit]:
        await self._aready()
        return await self._sides.arun(lambda session: self._hits(session, vector, mode, text, options))

    def _hits(
        self, session: Session, vector: Any, mode: Mode, text: str | None, options: dict[str, Any]
    ) -> list[SearchHit]:
        collection = CollectionRepository(session).get(self.collection_name)
        if text is not None:
            check_embedder(collection, self._embeddings)
        hits: Sequence[Any]
        if mode == "hybrid":
            hits = HybridRepository(session, collection).hybrid(text or "", vector, **options)
        elif mode == "mmr":
            hits = SearchRepository(session, collection).diverse(vector, **options)
        else:
            hits = DocumentRepository(session, collection).nearest(vector, **options)
        return [SearchHit.from_hit(rank, hit) for rank, hit in enumerate(hits, 1)]

    def _needed_embedder(self) -> Any:
        given: Any = self._embeddings
        if given is None:
            message = "A search by meaning needs an embedder. Pass one to the store, or search by vector."
            raise ConfigurationError(message)
        return given
