"""SQLAlchemy's ORM with pgvector's own column type, as in its README."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
from pgvector.sqlalchemy import VECTOR
from sqlalchemy import Column, Text, create_engine, make_url, select, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Session

from benchmarks.peers.protocol import K, Row, Search, Store


class ByHand(Store):
    """A model, `add_all`, `order_by(cosine_distance)`."""

    def __init__(self, url: str, dimension: int) -> None:
        class Base(DeclarativeBase):
            pass

        class Item(Base):
            __tablename__ = "items"
            id = Column(Text, primary_key=True)
            content = Column(Text, nullable=False)
            meta = Column("metadata", JSONB, nullable=False)
            embedding = Column(VECTOR(dimension), nullable=False)

        self._url, self._item = make_url(url), Item
        self._engine = create_engine(self._url.set(drivername="postgresql+psycopg"))
        with self._engine.begin() as connection:
            connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
            Base.metadata.create_all(connection)

    def ingest(self, rows: list[Row]) -> None:
        """Add objects to a session."""
        with Session(self._engine) as session, session.begin():
            session.add_all(
                self._item(id=row.id, content=row.text, meta={"bucket": row.bucket}, embedding=row.array)
                for row in rows
            )

    def index(self) -> None:
        """Build the index."""
        with self._engine.begin() as connection:
            connection.execute(text("CREATE INDEX ON items USING hnsw (embedding vector_cosine_ops)"))
            connection.execute(text("CREATE INDEX ON items USING gin (metadata jsonb_path_ops)"))

    def upsert(self, rows: list[Row]) -> None:
        """Insert with ON CONFLICT DO UPDATE, with a list of parameters."""
        values = insert(self._item)
        changes = {name: values.excluded[name] for name in ("content", "metadata", "embedding")}
        given = [
            {"id": row.id, "content": row.text, "metadata": {"bucket": row.bucket}, "embedding": row.array}
            for row in rows
        ]
        with self._engine.begin() as connection:
            connection.execute(
                insert(self._item.__table__).on_conflict_do_update(index_elements=["id"], set_=changes), given
            )

    def search(self, query: Any) -> list[str]:
        """Select, ordered by distance."""
        with Session(self._engine) as session:
            return [item.id for item, _ in session.execute(self._nearest(query))]

    def filtered(self, query: Any, bucket: int) -> list[str]:
        """Search with a condition."""
        condition = self._item.meta.contains({"bucket": bucket})
        with Session(self._engine) as session:
            return [item.id for item, _ in session.execute(self._nearest(query).where(condition))]

    def export(self) -> Any:
        """Select the column."""
        with Session(self._engine) as session:
            return np.array(session.scalars(select(self._item.embedding)).all(), np.float32)

    async def concurrent(self, run: Callable[[Search], Awaitable[float]]) -> float:
        """Share an async engine on asyncpg."""
        url = self._url.set(drivername="postgresql+asyncpg")
        engine = create_async_engine(url, pool_size=8, max_overflow=0)

        async def search(query: list[float]) -> Any:
            async with AsyncSession(engine) as session:
                return (await session.execute(self._nearest(query))).all()

        try:
            return await run(search)
        finally:
            await engine.dispose()

    def _nearest(self, query: Any) -> Any:
        distance = self._item.embedding.cosine_distance(query)
        return select(self._item, distance).order_by(distance).limit(K)


STORE = ByHand
