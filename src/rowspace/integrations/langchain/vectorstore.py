"""The vector store, put together, and how it is made from texts, documents or embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from rowspace.integrations.langchain.retriever import RowspaceRetriever
from rowspace.integrations.langchain.variety import VarietyStore
from rowspace.integrations.langchain.writing import WritingStore

__all__ = ["RowspaceVectorStore"]


class RowspaceVectorStore(WritingStore, VarietyStore):
    """LangChain's `VectorStore` over a collection, sync and async on one object.

    It takes what users of `langchain_postgres.PGVector` write; see `StoreBase` for the options. Keywords of the
    `from_*` methods beyond those named go to the constructor.
    """

    def as_retriever(self, **options: Any) -> RowspaceRetriever:
        """Return a retriever; `search_type` is `similarity`, `similarity_score_threshold`, `mmr` or `hybrid`."""
        tags = [*(options.pop("tags", None) or []), *self._get_retriever_tags()]
        return RowspaceRetriever(vectorstore=self, tags=tags, **options)

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **options: Any,
    ) -> Self:
        """Return a store with these texts added."""
        store = cls(embedding, **options)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    async def afrom_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **options: Any,
    ) -> Self:
        """Return a store with these texts added."""
        store = cls(embedding, **options)
        await store.aadd_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    def from_documents(
        cls, documents: list[Document], embedding: Embeddings, *, ids: list[str] | None = None, **options: Any
    ) -> Self:
        """Return a store with these documents added."""
        store = cls(embedding, **options)
        store.add_documents(documents, ids=ids)
        return store

    @classmethod
    async def afrom_documents(
        cls, documents: list[Document], embedding: Embeddings, *, ids: list[str] | None = None, **options: Any
    ) -> Self:
        """Return a store with these documents added."""
        store = cls(embedding, **options)
        await store.aadd_documents(documents, ids=ids)
        return store

    @classmethod
    def from_embeddings(
        cls,
        text_embeddings: Iterable[tuple[str, Sequence[float]]],
        embedding: Embeddings,
        *,
        metadatas: list[dict[str, Any]] | None = None,
        ids: list[str] | None = None,
        **options: Any,
    ) -> Self:
        """Return a store with these pairs of a text and its embedding added."""
        store = cls(embedding, **options)
        store.add_embeddings(*_unzipped(text_embeddings), metadatas=metadatas, ids=ids)
        return store

    @classmethod
    async def afrom_embeddings(
        cls,
        text_embeddings: Iterable[tuple[str, Sequence[float]]],
        embedding: Embeddings,
        *,
        metadatas: list[dict[str, Any]] | None = None,
        ids: list[str] | None = None,
        **options: Any,
    ) -> Self:
        """Return a store with these pairs of a text and its embedding added."""
        store = cls(embedding, **options)
        await store.aadd_embeddings(*_unzipped(text_embeddings), metadatas=metadatas, ids=ids)
        return store

    @classmethod
    def from_existing_index(cls, embedding: Embeddings, **options: Any) -> Self:
        """Return a store over a collection that has to be there.

        Raises:
            CollectionNotFound: it is not.
        """
        store = cls(embedding, **{"create_collection": False, **options})
        store.create_collection()
        return store

    @classmethod
    async def afrom_existing_index(cls, embedding: Embeddings, **options: Any) -> Self:
        """Return a store over a collection that has to be there.

        Raises:
            CollectionNotFound: it is not.
        """
        store = cls(embedding, **{"create_collection": False, **options})
        await store.acreate_collection()
        return store


def _unzipped(pairs: Iterable[tuple[str, Sequence[float]]]) -> tuple[list[str], list[Sequence[float]]]:
    both = list(pairs)
    return [text for text, _ in both], [vector for _, vector in both]
