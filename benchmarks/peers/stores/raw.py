"""The baseline: psycopg alone, asyncpg alone, handwritten SQL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import numpy as np
import psycopg
from pgvector import Vector
from pgvector.asyncpg import register_vector as register_async
from pgvector.psycopg import register_vector
from psycopg.types.json import Jsonb

from benchmarks.peers.protocol import K, Row, Search, Store

COLUMNS = "id, content, metadata, embedding"
SEARCH = "SELECT id, content, metadata, embedding <=> {0} AS distance FROM items {1} ORDER BY 4 LIMIT {2}"
#: The number of connections for concurrent searches.
POOL = 8


class Raw(Store):
    """Tables and statements as one would write them for speed."""

    def __init__(self, url: str, dimension: int) -> None:
        self._url = url
        self._connection = psycopg.connect(url)
        self._connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        self._connection.execute(
            "CREATE TABLE items (id text PRIMARY KEY, content text NOT NULL, metadata jsonb NOT NULL, "
            f"embedding vector({dimension}) NOT NULL)"
        )
        self._connection.execute("ALTER TABLE items ALTER COLUMN embedding SET STORAGE MAIN")
        self._connection.commit()
        register_vector(self._connection)
        self._cursor = self._connection.cursor(binary=True)

    def ingest(self, rows: list[Row]) -> None:
        """Load with COPY, row by row."""
        self._copy(rows, "items")
        self._connection.commit()

    def index(self) -> None:
        """Build the index."""
        self._connection.execute("CREATE INDEX ON items USING hnsw (embedding vector_cosine_ops)")
        self._connection.execute("CREATE INDEX ON items USING gin (metadata jsonb_path_ops)")
        self._connection.commit()

    def upsert(self, rows: list[Row]) -> None:
        """Load into a temporary table, and merge it from there."""
        self._connection.execute("CREATE TEMPORARY TABLE stage (LIKE items) ON COMMIT DROP")
        self._copy(rows, "stage")
        self._connection.execute(
            f"INSERT INTO items SELECT {COLUMNS} FROM stage ON CONFLICT (id) DO UPDATE SET "  # noqa: S608
            "content = excluded.content, metadata = excluded.metadata, embedding = excluded.embedding"
        )
        self._connection.commit()

    def _copy(self, rows: list[Row], table: str) -> None:
        with self._cursor.copy(f"COPY {table} ({COLUMNS}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["text", "text", "jsonb", "vector"])
            for row in rows:
                copy.write_row((row.id, row.text, Jsonb({"bucket": row.bucket}), Vector(row.array)))

    def search(self, query: Any) -> list[str]:
        """Search with a prepared statement, in binary."""
        vector = Vector(query)
        sql = SEARCH.format("%s", "", K)
        return [row[0] for row in self._cursor.execute(sql, [vector], prepare=True)]

    def filtered(self, query: Any, bucket: int) -> list[str]:
        """Search with the filter in its simplest form."""
        vector = Vector(query)
        sql = SEARCH.format("%s", "WHERE metadata @> %s", K)
        return [row[0] for row in self._cursor.execute(sql, [vector, Jsonb({"bucket": bucket})])]

    def export(self) -> Any:
        """Read with COPY, decoding value by value."""
        vectors = []
        with self._cursor.copy("COPY (SELECT id, embedding FROM items) TO STDOUT (FORMAT BINARY)") as copy:
            copy.set_types(["text", "vector"])
            vectors.extend(vector for _, vector in copy.rows())
        return np.stack([vector.to_numpy() if isinstance(vector, Vector) else vector for vector in vectors])

    async def concurrent(self, run: Callable[[Search], Awaitable[float]]) -> float:
        """Share an asyncpg pool."""
        parts = urlsplit(self._url)
        host = parse_qs(parts.query)["host"][0]
        options = {"host": host, "user": parts.username, "database": parts.path[1:]}
        pool = await asyncpg.create_pool(min_size=POOL, max_size=POOL, init=register_async, **options)
        sql = SEARCH.format("$1", "", K)

        async def search(query: list[float]) -> Any:
            async with pool.acquire() as connection:
                return await connection.fetch(sql, Vector(query))

        async with pool:
            return await run(search)


STORE = Raw
