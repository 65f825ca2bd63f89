"""vecs."""

from __future__ import annotations

from typing import Any

import numpy as np
import vecs
from sqlalchemy import make_url

from benchmarks.peers.protocol import K, Row, Store


class Vecs(Store):
    """`upsert` and `query`. vecs stores no text, so the text is part of the metadata."""

    def __init__(self, url: str, dimension: int) -> None:
        given = make_url(url).set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)
        self._client = vecs.create_client(given)
        self._items = self._client.get_or_create_collection("items", dimension=dimension)
        self._ids: list[str] = []

    def ingest(self, rows: list[Row]) -> None:
        """Upsert."""
        self._items.upsert([(row.id, row.array, {"text": row.text, "bucket": row.bucket}) for row in rows])
        self._ids = self._ids or [row.id for row in rows]

    upsert = ingest

    def index(self) -> None:
        """Build the index."""
        self._items.create_index(
            method=vecs.IndexMethod.hnsw, measure=vecs.IndexMeasure.cosine_distance,
            index_arguments=vecs.IndexArgsHNSW(m=16, ef_construction=64),
        )  # fmt: skip

    def search(self, query: Any) -> list[str]:
        """Query including the metadata, which contains the text."""
        return self._query(query, None)

    def filtered(self, query: Any, bucket: int) -> list[str]:
        """Query with a filter."""
        return self._query(query, {"bucket": {"$eq": bucket}})

    def _query(self, query: Any, filters: Any) -> list[str]:
        found = self._items.query(query, limit=K, filters=filters, include_metadata=True, include_value=True)
        return [record[0] for record in found]

    def export(self) -> Any:
        """Fetch by id."""
        return np.array([vector for _, vector, _ in self._items.fetch(self._ids)], np.float32)


STORE = Vecs
