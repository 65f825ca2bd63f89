"""langchain-postgres, `PGVector`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_postgres import PGVector
from sqlalchemy import create_engine, make_url, text

from benchmarks.peers.protocol import K, Row, Search, Store


class LangChain(Store):
    """`add_embeddings` and `similarity_search_with_score_by_vector`."""

    def __init__(self, url: str, dimension: int) -> None:
        self._url = make_url(url).set(drivername="postgresql+psycopg")
        self._options = {
            "embeddings": DeterministicFakeEmbedding(size=dimension),
            "embedding_length": dimension,
            "collection_name": "items",
        }
        self._engine = create_engine(self._url)
        self._store = PGVector(connection=self._engine, **self._options)

    def ingest(self, rows: list[Row]) -> None:
        """Add texts with their embeddings, in batches, because a statement has at most 65,535 parameters."""
        for start in range(0, len(rows), 1_000):
            part = rows[start : start + 1_000]
            self._store.add_embeddings(
                [row.text for row in part],
                [row.vector for row in part],
                metadatas=[{"bucket": row.bucket} for row in part],
                ids=[row.id for row in part],
            )

    upsert = ingest

    def index(self) -> None:
        """Build the index manually: apart from GIN on the metadata, the store has none."""
        with self._engine.begin() as connection:
            connection.execute(text("CREATE INDEX ON langchain_pg_embedding USING hnsw (embedding vector_cosine_ops)"))

    def search(self, query: Any) -> list[str]:
        """Search by a vector."""
        return self._ids(query, None)

    def filtered(self, query: Any, bucket: int) -> list[str]:
        """Search with a filter."""
        return self._ids(query, {"bucket": {"$eq": bucket}})

    def _ids(self, query: Any, condition: Any) -> list[str]:
        found = self._store.similarity_search_with_score_by_vector(query.tolist(), k=K, filter=condition)
        return [document.id for document, _ in found]

    async def concurrent(self, run: Callable[[Search], Awaitable[float]]) -> float:
        """Share an async store."""
        store = PGVector(
            connection=self._url.render_as_string(hide_password=False),
            async_mode=True,
            engine_args={"pool_size": 8, "max_overflow": 0},
            create_extension=False,
            **self._options,
        )
        return await run(lambda query: store.asimilarity_search_with_score_by_vector(query, k=K))


STORE = LangChain
