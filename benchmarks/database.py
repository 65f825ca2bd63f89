"""The database of a run: the embedded server, the migrations, and a filled model and collection."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from pgvector.psycopg import register_vector
from sqlalchemy import URL, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from benchmarks.corpus import Corpus
from rowspace import HNSW, Collection, CollectionRepository, Database, DocumentRepository, Repository, Vector
from rowspace.embedded import EmbeddedServer
from rowspace.migrations import upgrade

__all__ = ["Filled", "connect", "fill", "model_of", "open_database", "store_in_rows"]


@contextmanager
def open_database() -> Iterator[Database]:
    """Yield a migrated database on a server that is deleted afterwards."""
    # A short path, because that of a Unix socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="rs") as parent:
        directory = Path(parent) / "pg"
        _configure(directory)
        server = EmbeddedServer(directory, keep=False)
        try:
            with Database.open(server.url) as database:
                upgrade(database.engine)
                yield database
        finally:
            server.stop()


def _configure(directory: Path) -> None:
    """Give the server enough memory to cache the data of a run. The setting takes effect at the next start."""
    server = EmbeddedServer(directory)
    try:
        with connect(server.url) as connection:
            connection.autocommit = True
            connection.execute("ALTER SYSTEM SET shared_buffers = '2GB'")
    finally:
        server.stop()


def connect(url: URL) -> psycopg.Connection[Any]:
    """Return a plain psycopg connection, with pgvector's adapters if the extension is installed."""
    connection = psycopg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False))
    if connection.execute("SELECT 1 FROM pg_type WHERE typname = 'vector'").fetchone():
        register_vector(connection)
    connection.rollback()
    return connection


@cache
def model_of(dimension: int) -> type[Any]:
    """Return a typical model of an application, with vectors of this dimension."""

    class Base(DeclarativeBase):
        pass

    class Article(Base):
        __tablename__ = f"articles_{dimension}"
        __table_args__ = (HNSW().index("embedding", name=f"ix_articles_{dimension}_embedding"),)

        id: Mapped[str] = mapped_column(Text, primary_key=True)
        content: Mapped[str] = mapped_column(Text)
        meta: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB)
        embedding: Mapped[Any] = mapped_column(Vector(dimension), deferred=True)

    return Article


@dataclass(frozen=True, slots=True)
class Filled:
    """A corpus in the database, as a model and as a collection, indexed and analyzed."""

    corpus: Corpus
    dimension: int
    model: type[Any]
    collection: Collection


def store_in_rows(table: str) -> str:
    """Return SQL that makes a table store its embeddings inside the row, as a collection does."""
    return (
        f"ALTER TABLE {table} ALTER COLUMN embedding SET STORAGE MAIN; "
        f"ALTER TABLE {table} SET (toast_tuple_target = 8160)"
    )


def fill(database: Database, corpus: Corpus, dimension: int) -> Filled:
    """Load the corpus, in this dimension, into a model's table and into a collection."""
    projected, model = corpus.projected(dimension), model_of(dimension)
    table = model.__table__
    index = next(iter(table.indexes))
    with database.engine.begin() as connection:
        table.create(connection)
        # With vectors outside the row, the planner considers 20,000 comparisons cheaper than the index.
        connection.exec_driver_sql(store_in_rows(table.name))
        index.drop(connection)
    with database.begin() as session:
        # Enough for an index of 20,000 vectors of 1,536 dimensions. A build that exceeds its memory is far slower.
        session.execute(text("SET LOCAL maintenance_work_mem = '512MB'"))
        Repository(session, model).upsert(projected.rows())
        index.create(session.connection())
        collection = CollectionRepository(session).create(f"filled_{dimension}", dimension)
        documents = DocumentRepository(session, collection)
        documents.upsert(projected.rows())
        documents.create_indexes()
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"VACUUM ANALYZE {table.name}, {collection.partition}"))
    return Filled(projected, dimension, model, collection)
