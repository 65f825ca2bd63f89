"""A database of 1,600 rows in clusters, as a model and as a collection, and what NumPy finds in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from sqlalchemy import NullPool, make_url
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import HNSW, CollectionRepository, Database, DocumentRepository, SearchSettings
from rowspace.models import MetadataMixin
from rowspace.types import Bit, HalfVector, Vector

ROWS, DIMENSION, CLUSTERS = 1_600, 24, 8


class Base(DeclarativeBase):
    pass


class Passage(MetadataMixin, Base):
    __tablename__ = "passages"
    __table_args__ = (HNSW().index("embedding"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    section: Mapped[str | None]
    year: Mapped[int]
    embedding: Mapped[Any] = mapped_column(Vector(DIMENSION), nullable=True)


class Tile(Base):
    __tablename__ = "tiles"
    x: Mapped[int] = mapped_column(primary_key=True)
    y: Mapped[str] = mapped_column(primary_key=True)
    color: Mapped[Any] = mapped_column(HalfVector(8))
    shape: Mapped[Any] = mapped_column(Bit(16))


@dataclass(frozen=True)
class World:
    """What was stored. Row i of `vectors` is passage i and the document of the id `str(i)`; row ROWS has no vector."""

    url: str
    vectors: np.ndarray
    clusters: np.ndarray
    colors: np.ndarray
    shapes: np.ndarray
    queries: np.ndarray
    passage: type[Any] = Passage
    tile: type[Any] = Tile
    collection: str = "passages"
    #: Enough for a graph of this size to miss nothing.
    wide: SearchSettings = field(default_factory=lambda: SearchSettings(ef_search=400))

    def section(self, row: int) -> str | None:
        """Nine rows in ten of cluster 0 are in one section, which is large; every fiftieth row is in none."""
        if row % 50 == 0:
            return None
        return "big" if self.clusters[row] == 0 and row % 10 else f"s{row % 13}"

    def year(self, row: int) -> int:
        return 1900 + row % 100

    def distances(self, query: Any) -> np.ndarray:
        unit = self.vectors / np.linalg.norm(self.vectors, axis=1, keepdims=True)
        return 1 - unit @ (np.asarray(query) / np.linalg.norm(query))

    def nearest(self, query: Any, k: int, among: Any = None) -> list[int]:
        order = np.argsort(self.distances(query), kind="stable")
        return [int(row) for row in order if among is None or among(int(row))][:k]

    def meta(self, row: int) -> dict[str, Any]:
        return {"at": {"section": self.section(row)}, "year": self.year(row), "long": row % 3 == 0}


def make_world(url: str) -> World:
    rng = np.random.default_rng(7)
    clusters = rng.integers(0, CLUSTERS, ROWS)
    centres = 3 * rng.normal(size=(CLUSTERS, DIMENSION))
    vectors = (centres[clusters] + rng.normal(size=(ROWS, DIMENSION))).astype(np.float32)
    near = vectors[rng.integers(0, ROWS, 40)] + 0.5 * rng.normal(size=(40, DIMENSION))
    colors = rng.normal(size=(60, 8)).astype(np.float16)
    return World(url, vectors, clusters, colors, rng.random((60, 16)) < 0.5, near.astype(np.float32))


def fill(database: Database, world: World) -> None:
    vectors = [*world.vectors, None]
    with database.begin() as session:
        session.add_all(
            Passage(id=i, section=None if v is None else world.section(i), year=0 if v is None else world.year(i),
                    meta={} if v is None else world.meta(i), embedding=v)
            for i, v in enumerate(vectors)
        )  # fmt: skip
        session.add_all(
            Tile(x=i // 10, y=f"y{i % 10}", color=color, shape=shape)
            for i, (color, shape) in enumerate(zip(world.colors, world.shapes, strict=True))
        )
        collection = CollectionRepository(session).create(world.collection, DIMENSION)
        documents = DocumentRepository(session, collection)
        documents.upsert(
            {"id": str(i), "content": f"passage {i}", "embedding": v, "meta": world.meta(i)}
            for i, v in enumerate(world.vectors)
        )
        documents.create_indexes()
        session.connection().exec_driver_sql("ANALYZE passages")


@pytest.fixture(scope="session")
def world(new_shared_database: Callable[[], str]) -> World:
    made = make_world(new_shared_database())
    with Database.open(made.url, poolclass=NullPool) as database:
        Base.metadata.create_all(database.engine)
        fill(database, made)
    return made


@pytest.fixture
def url(world: World, driver: str) -> str:
    return make_url(world.url).set(drivername=f"postgresql+{driver}").render_as_string(hide_password=False)
