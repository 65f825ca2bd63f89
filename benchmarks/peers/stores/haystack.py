"""pgvector-haystack."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
from haystack import Document
from haystack.document_stores.types import DuplicatePolicy
from haystack.utils import Secret
from haystack_integrations.components.retrievers.pgvector import PgvectorEmbeddingRetriever
from haystack_integrations.document_stores.pgvector import PgvectorDocumentStore

from benchmarks.peers.protocol import K, Row, Search, Store


class Haystack(Store):
    """`write_documents` and the embedding retriever."""

    def __init__(self, url: str, dimension: int) -> None:
        self._url, self._dimension = url, dimension
        self._open("exact_nearest_neighbor")
        self._store.count_documents()

    def _open(self, strategy: str) -> None:
        self._store = PgvectorDocumentStore(
            connection_string=Secret.from_token(self._url),
            embedding_dimension=self._dimension,
            search_strategy=strategy,
            hnsw_index_creation_kwargs={"m": 16, "ef_construction": 64},
        )
        self._retriever = PgvectorEmbeddingRetriever(document_store=self._store, top_k=K)

    def ingest(self, rows: list[Row]) -> None:
        """Write documents."""
        self._store.write_documents(self._documents(rows))

    def upsert(self, rows: list[Row]) -> None:
        """Write the documents again."""
        self._store.write_documents(self._documents(rows), policy=DuplicatePolicy.OVERWRITE)

    @staticmethod
    def _documents(rows: list[Row]) -> list[Document]:
        return [
            Document(id=row.id, content=row.text, meta={"bucket": row.bucket}, embedding=row.vector) for row in rows
        ]

    def index(self) -> None:
        """Reopen the store with an index, which it builds."""
        self._open("hnsw")
        self._store.count_documents()

    def search(self, query: Any) -> list[str]:
        """Retrieve."""
        return [document.id for document in self._retriever.run(query.tolist())["documents"]]

    def filtered(self, query: Any, bucket: int) -> list[str]:
        """Retrieve with a filter."""
        filters = {"field": "meta.bucket", "operator": "==", "value": bucket}
        return [document.id for document in self._retriever.run(query.tolist(), filters=filters)["documents"]]

    def export(self) -> Any:
        """Read all documents."""
        return np.array([document.embedding for document in self._store.filter_documents()], np.float32)

    async def concurrent(self, run: Callable[[Search], Awaitable[float]]) -> float:
        """Share the retriever, which has one connection."""
        return await run(self._retriever.run_async)


STORE = Haystack
