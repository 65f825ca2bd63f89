"""llama-index-vector-stores-postgres."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters, VectorStoreQuery
from llama_index.vector_stores.postgres import PGVectorStore
from sqlalchemy import make_url

from benchmarks.peers.protocol import K, Row, Search, Store


class LlamaIndex(Store):
    """`add` and `query`."""

    def __init__(self, url: str, dimension: int) -> None:
        self._url, self._dimension = make_url(url), dimension
        self._store = self._open(None)

    def _open(self, index: dict[str, Any] | None) -> PGVectorStore:
        return PGVectorStore.from_params(
            connection_string=self._url.set(drivername="postgresql+psycopg2"),
            async_connection_string=self._url.set(drivername="postgresql+asyncpg"),
            table_name="items",
            embed_dim=self._dimension,
            use_jsonb=True,
            cache_ok=True,
            hnsw_kwargs=index,
            create_engine_kwargs={"pool_size": 8, "max_overflow": 0},
        )

    def ingest(self, rows: list[Row]) -> None:
        """Add nodes."""
        self._store.add(
            [TextNode(id_=row.id, text=row.text, metadata={"bucket": row.bucket}, embedding=row.vector) for row in rows]
        )

    def upsert(self, rows: list[Row]) -> None:
        """Delete and add: the store has no upsert, and would add a node with an existing id again."""
        self._store.delete_nodes([row.id for row in rows])
        self.ingest(rows)

    def index(self) -> None:
        """Reopen the store with an index, which it builds."""
        self._store = self._open(
            {"hnsw_m": 16, "hnsw_ef_construction": 64, "hnsw_ef_search": 40, "hnsw_dist_method": "vector_cosine_ops"}
        )
        self._store.query(VectorStoreQuery(query_embedding=[1.0] * self._dimension, similarity_top_k=1))

    def search(self, query: Any) -> list[str]:
        """Query."""
        return list(self._store.query(_query(query.tolist())).ids or [])

    def filtered(self, query: Any, bucket: int) -> list[str]:
        """Query with a filter."""
        filters = MetadataFilters(filters=[MetadataFilter(key="bucket", value=bucket)])
        return list(self._store.query(_query(query.tolist(), filters)).ids or [])

    async def concurrent(self, run: Callable[[Search], Awaitable[float]]) -> float:
        """Share the store."""
        return await run(lambda query: self._store.aquery(_query(query)))


def _query(vector: list[float], filters: Any = None) -> VectorStoreQuery:
    return VectorStoreQuery(query_embedding=vector, similarity_top_k=K, filters=filters)


STORE = LlamaIndex
