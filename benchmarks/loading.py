"""Loads into an empty collection, compared with psycopg's COPY and the ORM with pgvector's type; writes of few rows."""

from __future__ import annotations

from itertools import count, islice
from time import perf_counter
from typing import Any

from pgvector.sqlalchemy import VECTOR
from psycopg.types.json import Jsonb
from sqlalchemy import Text, create_engine
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from benchmarks.corpus import Corpus
from benchmarks.database import connect, store_in_rows
from benchmarks.harness import Measure, interleave
from rowspace import CollectionRepository, Database, DocumentRepository, Repository

__all__ = ["measure_load"]

#: The number of rows for the ORM. It is slow enough to be timed with fewer.
ORM_ROWS = 2_000

#: The number of rows that a request writes, and how many requests are timed.
FEW, REQUESTS = 10, 100


def measure_load(database: Database, corpus: Corpus, dimension: int, turns: int) -> list[Measure]:
    """Compare the three, each including its commit. The indexes of the collection are timed separately."""
    corpus = corpus.projected(dimension)
    loader = _Loader(database, corpus, dimension)
    orm_rows = min(ORM_ROWS, len(corpus.texts))
    variants = {"COPY": loader.copy, "upsert": loader.upsert, "ORM": lambda _: loader.add_all(orm_rows)}
    times = interleave(variants, turns, warmup=1, before=loader.prepare)
    rates = {name: len(corpus.texts) / times.median(name) for name in ("COPY", "upsert")}
    rates["ORM"] = orm_rows / times.median("ORM")
    detail = ", ".join(f"{name} {rate:,.0f} rows/s" for name, rate in rates.items())
    few = interleave({"by hand": loader.few_by_hand, "upsert": loader.few}, REQUESTS, warmup=10)
    began = perf_counter()
    loader.index()
    loader.close()
    indexing = perf_counter() - began
    scale = len(corpus.texts) / orm_rows
    return [
        Measure(
            "load", f"rate relative to COPY, {dimension}-d", times.ratio("COPY", "upsert"), at_least=0.8, detail=detail
        ),
        Measure("load", f"rate relative to the ORM, {dimension}-d", times.ratio("ORM", "upsert") * scale, at_least=15),
        Measure(
            "load",
            f"{FEW} rows, time relative to SQLAlchemy, {dimension}-d",
            few.ratio("upsert", "by hand"),
            detail=few.milliseconds("by hand", "upsert"),
        ),
        Measure("load", f"building the indexes, seconds, {dimension}-d", indexing),
    ]


class _Loader:
    """The three ways to load. Each call loads into its own table."""

    def __init__(self, database: Database, corpus: Corpus, dimension: int) -> None:
        self._database = database
        self._dimension = dimension
        self._rows = list(corpus.rows())
        self._numbers = count()
        self._raw = connect(database.engine.url)
        # A plain engine, without Rowspace's changes.
        self._plain = create_engine(database.engine.url)
        self._model = _orm_model(dimension)
        with self._plain.begin() as connection:
            self._model.metadata.create_all(connection)
            connection.exec_driver_sql(store_in_rows(self._model.__tablename__))
        self._name = ""

    def prepare(self, _turn: int) -> None:
        """Create the table and the collection of the turn."""
        self._name = f"load_{self._dimension}_{next(self._numbers)}"
        with self._raw.transaction():
            self._raw.execute(
                f"CREATE TABLE {self._name} (id text PRIMARY KEY, content text NOT NULL, metadata jsonb NOT NULL, "
                f"embedding vector({self._dimension}) NOT NULL)"
            )
            self._raw.execute(store_in_rows(self._name))
        with self._database.begin() as session:
            CollectionRepository(session).create(self._name, self._dimension)

    def copy(self, _turn: int) -> None:
        """Load with psycopg's `write_row`."""
        with (
            self._raw.transaction(),
            self._raw.cursor() as cursor,
            cursor.copy(f"COPY {self._name} (id, content, metadata, embedding) FROM STDIN (FORMAT BINARY)") as copy,
        ):
            copy.set_types(["text", "text", "jsonb", "vector"])
            for row in self._rows:
                copy.write_row((row["id"], row["content"], Jsonb(row["meta"]), row["embedding"]))

    def upsert(self, _turn: int) -> None:
        """Load through the repository."""
        with self._database.begin() as session:
            DocumentRepository(session, CollectionRepository(session).get(self._name)).upsert(self._rows)

    def add_all(self, rows: int) -> None:
        """Load through the ORM, with new ids."""
        number = next(self._numbers)
        with Session(self._plain) as session, session.begin():
            session.add_all(self._model(**(row | {"id": f"{number}-{row['id']}"})) for row in islice(self._rows, rows))

    def few(self, _turn: int) -> None:
        """Insert or update a few rows of a model through the repository."""
        with self._database.begin() as session:
            Repository(session, self._model).upsert(self._rows[:FEW])

    def few_by_hand(self, _turn: int) -> None:
        """Do the same as in SQLAlchemy's documentation."""
        statement = insert(self._model)
        new = {name: statement.excluded[name] for name in ("content", "metadata", "embedding")}
        with Session(self._plain) as session, session.begin():
            session.execute(statement.on_conflict_do_update(index_elements=["id"], set_=new), self._rows[:FEW])

    def index(self) -> None:
        """Build the indexes of the most recent collection."""
        with self._database.begin() as session:
            session.connection().exec_driver_sql("SET LOCAL maintenance_work_mem = '512MB'")
            DocumentRepository(session, CollectionRepository(session).get(self._name)).create_indexes()

    def close(self) -> None:
        """Close the connections."""
        self._raw.close()
        self._plain.dispose()


def _orm_model(dimension: int) -> type[Any]:
    class Base(DeclarativeBase):
        pass

    class Item(Base):
        __tablename__ = f"items_{dimension}"

        id: Mapped[str] = mapped_column(Text, primary_key=True)
        content: Mapped[str] = mapped_column(Text)
        meta: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB)
        embedding: Mapped[Any] = mapped_column(VECTOR(dimension))

    return Item
