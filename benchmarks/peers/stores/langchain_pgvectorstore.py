"""langchain-postgres, `PGVectorStore`: the bucket has its own column, because its filters require one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_postgres import Column, PGEngine, PGVectorStore
from langchain_postgres.v2.indexes import HNSWIndex
from sqlalchemy import make_url

from benchmarks.peers.protocol import K, Row, Search, Store


class LangChainStore(Store):
    """`add_embeddings` and `similarity_search_by_vector`."""

    def __init__(self, url: str, dimension: int) -> None:
        given = make_url(url).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
        self._engine = PGEngine.from_connection_string(given, pool_size=8, max_overflow=0)
        columns = [Column("bucket", "INTEGER")]
        self._engine.init_vectorstore_table(
            "items", dimension, metadata_columns=columns, id_column=Column("langchain_id", "TEXT")
        )
        self._store = PGVectorStore.create_sync(
            self._engine, DeterministicFakeEmbedding(size=dimension), "items", metadata_columns=["bucket"], k=K
        )

    def ingest(self, rows: list[Row]) -> None:
        """Add texts with their embeddings."""
        self._store.add_embeddings(
            [row.text for row in rows],
            [row.vector for row in rows],
            metadatas=[{"bucket": row.bucket} for row in rows],
            ids=[row.id for row in rows],
        )

    upsert = ingest

    def index(self) -> None:
        """Build the index."""
        self._store.apply_vector_index(HNSWIndex(m=16, ef_construction=64))

    def search(self, query: Any) -> list[str]:
        """Search by a vector."""
        return [document.id for document in self._store.similarity_search_by_vector(query.tolist(), k=K)]

    def filtered(self, query: Any, bucket: int) -> list[str]:
        """Search with a filter."""
        found = self._store.similarity_search_by_vector(query.tolist(), k=K, filter={"bucket": bucket})
        return [document.id for document in found]

    async def concurrent(self, run: Callable[[Search], Awaitable[float]]) -> float:
        """Share the store."""
        return await run(lambda query: self._store.asimilarity_search_by_vector(query, k=K))


STORE = LangChainStore
