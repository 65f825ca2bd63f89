"""The vector store, and its constructors from texts, documents and embeddings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Self, TypeVar

from langchain_core.documents import Document
from sqlalchemy import URL

from rowspace.integrations.langchain.retriever import RowspaceRetriever
from rowspace.integrations.langchain.variety import VarietyStore
from rowspace.integrations.langchain.writing import WritingStore
from rowspace.services import Embedder

__all__ = ["RowspaceVectorStore"]

S = TypeVar("S", bound="RowspaceVectorStore")


class RowspaceVectorStore(WritingStore, VarietyStore):
    """LangChain's `VectorStore` on a collection, with sync and async methods.

    It accepts the arguments of `langchain_postgres.PGVector`. `StoreBase` describes the options. Further keyword
    arguments of the `from_*` methods go to the constructor.
    """

    def as_retriever(self, **options: Any) -> RowspaceRetriever:
        """Return a retriever; `search_type` is `similarity`, `similarity_score_threshold`, `mmr` or `hybrid`."""
        tags = [*(options.pop("tags", None) or []), *self._get_retriever_tags()]
        return RowspaceRetriever(vectorstore=self, tags=tags, **options)

    @staticmethod
    def connection_string_from_db_params(
        driver: str, host: str, port: int, database: str, user: str, password: str
    ) -> str:
        """Return a URL from its parts, with special characters escaped."""
        url = URL.create(f"postgresql+{driver}", user, password, host, port, database)
        return url.render_as_string(hide_password=False)

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embedder,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **options: Any,
    ) -> Self:
        """Return a store with these texts added."""
        with _closed_on_error(cls(embedding, **options)) as store:
            store.add_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    async def afrom_texts(
        cls,
        texts: list[str],
        embedding: Embedder,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **options: Any,
    ) -> Self:
        """Return a store with these texts added."""
        async with _aclosed_on_error(cls(embedding, **options)) as store:
            await store.aadd_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    def from_documents(
        cls, documents: list[Document], embedding: Embedder, *, ids: list[str] | None = None, **options: Any
    ) -> Self:
        """Return a store with these documents added."""
        with _closed_on_error(cls(embedding, **options)) as store:
            store.add_documents(documents, ids=ids)
        return store

    @classmethod
    async def afrom_documents(
        cls, documents: list[Document], embedding: Embedder, *, ids: list[str] | None = None, **options: Any
    ) -> Self:
        """Return a store with these documents added."""
        async with _aclosed_on_error(cls(embedding, **options)) as store:
            await store.aadd_documents(documents, ids=ids)
        return store

    @classmethod
    def from_embeddings(
        cls,
        text_embeddings: Iterable[tuple[str, Sequence[float]]],
        embedding: Embedder,
        *,
        metadatas: list[dict[str, Any]] | None = None,
        ids: list[str] | None = None,
        **options: Any,
    ) -> Self:
        """Return a store with these (text, embedding) pairs added."""
        with _closed_on_error(cls(embedding, **options)) as store:
            store.add_embeddings(*_unzipped(text_embeddings), metadatas=metadatas, ids=ids)
        return store

    @classmethod
    async def afrom_embeddings(
        cls,
        text_embeddings: Iterable[tuple[str, Sequence[float]]],
        embedding: Embedder,
        *,
        metadatas: list[dict[str, Any]] | None = None,
        ids: list[str] | None = None,
        **options: Any,
    ) -> Self:
        """Return a store with these (text, embedding) pairs added."""
        async with _aclosed_on_error(cls(embedding, **options)) as store:
            await store.aadd_embeddings(*_unzipped(text_embeddings), metadatas=metadatas, ids=ids)
        return store

    @classmethod
    def from_existing_index(cls, embedding: Embedder, **options: Any) -> Self:
        """Return a store on an existing collection.

        Raises:
            CollectionNotFound: the collection does not exist.
        """
        with _closed_on_error(cls(embedding, **{"create_collection": False, **options})) as store:
            store.create_collection()
        return store

    @classmethod
    async def afrom_existing_index(cls, embedding: Embedder, **options: Any) -> Self:
        """Return a store on an existing collection.

        Raises:
            CollectionNotFound: the collection does not exist.
        """
        async with _aclosed_on_error(cls(embedding, **{"create_collection": False, **options})) as store:
            await store.acreate_collection()
        return store


@contextmanager
def _closed_on_error(store: S) -> Iterator[S]:
    # The caller never gets the store after an error, so it cannot close it.
    try:
        yield store
    except BaseException:
        store.close()
        raise


@asynccontextmanager
async def _aclosed_on_error(store: S) -> AsyncIterator[S]:
    try:
        yield store
    except BaseException:
        await store.aclose()
        raise


def _unzipped(pairs: Iterable[tuple[str, Sequence[float]]]) -> tuple[list[str], list[Sequence[float]]]:
    both = list(pairs)
    return [text for text, _ in both], [vector for _, vector in both]
