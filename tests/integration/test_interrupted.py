"""A thread that is interrupted, at whichever of its waits: the pool's one connection serves the next.

As by Ctrl-C, the time limit of a task queue, which a signal's handler raises, or a timeout of gevent's, which kills a
greenlet. psycopg cancels the query of the first, and leaves the connection in the middle of it at the others.
"""

from __future__ import annotations

import gc
from itertools import product

import pytest
from psycopg import waiting
from sqlalchemy import make_url, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import Database, DocumentService, MatrixRepository, Repository, Vector
from rowspace.services import QuickSearch, SearchRequest
from rowspace.testing import HashingEmbedder


class Base(DeclarativeBase):
    pass


class Point(Base):
    __tablename__ = "points"

    id: Mapped[int] = mapped_column(primary_key=True)
    embedding = mapped_column(Vector(2), deferred=True)


class Wide(Base):
    """Rows that take several parts of a COPY."""

    __tablename__ = "wide_points"

    id: Mapped[int] = mapped_column(primary_key=True)
    embedding = mapped_column(Vector(2_000))


#: Rows that take several parts.
WIDE = 1_500
FILL = text("INSERT INTO wide_points SELECT x, array_fill(x, ARRAY[2000])::vector FROM generate_series(1, 1500) x")
#: As they are on a new connection.
SETTINGS = text("""
    SELECT current_setting('hnsw.ef_search'), current_setting('hnsw.iterative_scan'), current_setting('lock_timeout')
""")
POINTS = [{"id": x, "embedding": [1, x]} for x in range(150)]


class TimeLimit(Exception):
    """An error, as of Celery's soft limits."""


class Timeout(BaseException):
    """None, as of gevent's."""


class Waits:
    """psycopg's function that waits for the server, which raises at the n-th time, when the query has been sent."""

    def __init__(self, interruption, n):
        self._wait, self._interruption, self._n, self.count = waiting.wait, interruption, n, 0

    def __call__(self, generator, *arguments, **options):
        if self.count + 1 == self._n:
            try:
                next(generator)
            except StopIteration as ended:
                # There was nothing to wait for.
                return ended.value
        self.count += 1
        if self.count == self._n:
            raise self._interruption
        return self._wait(generator, *arguments, **options)


def upsert(database):
    with database.begin() as session:
        rows = ({"id": x, "embedding": [1, x]} for x in range(1_000, 1_250))
        assert Repository(session, Point).upsert(rows, batch_size=120).inserted == 250
        session.rollback()


def search(database):
    with database.session() as session:
        hits = Repository(session, Point).nearest([1, 7], 1, where=[Point.id < 5])
        assert [hit.entity.id for hit in hits] == [4]


def stream(database):
    with database.begin() as session:
        hits = Repository(session, Point).stream([1, 0], chunk_size=60)
        assert [hit.entity.id for hit in hits] == [*range(150)]


def matrices(database):
    with database.begin() as session:
        with MatrixRepository(session, Point).stream([Point.id < 5]) as parts:
            assert [len(part.keys) for part in parts] == [5]
        with MatrixRepository(session, Wide).stream() as parts:
            # The server waits for somebody to read on.
            assert len(next(parts).keys) < WIDE


def collection(database):
    service = DocumentService(database)
    service.create_collection("others", 8, exist_ok=True)
    service.drop_collection("others")


def quick_search(database):
    quick = QuickSearch(database)
    for _ in range(2):
        assert len(quick.search("texts", SearchRequest(vector=[1.0] * 8, k=2))) == 2


@pytest.fixture(scope="module")
def database(new_module_database):
    """A database with one connection, so that whoever is next gets what the last one left."""
    url = make_url(new_module_database()).set(drivername="postgresql+psycopg")
    # An interrupted ping is that of a connection that is gone.
    with Database.open(url, pool_size=1, max_overflow=0, pool_timeout=2, pool_pre_ping=False) as opened:
        Base.metadata.create_all(opened.engine)
        with opened.begin() as session:
            session.execute(FILL)
            Repository(session, Point).upsert(POINTS)
        service = DocumentService(opened, HashingEmbedder(8))
        service.create_collection("texts")
        service.add("texts", [{"id": str(x), "content": f"text {x}"} for x in range(25)])
        yield opened


@pytest.fixture(autouse=True)
def _collected():
    """An interruption of what the garbage collector ends would be lost."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    # Cursors that were left open say so when they go, which is to be here, where it is known.
    gc.collect()


def is_interrupted(work, database, interruption, n):
    """Return whether there was an n-th wait to interrupt, and make sure that the caller learns of it."""
    waits = Waits(interruption, n)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(waiting, "wait", waits)
        try:
            work(database)
        except interruption:
            return True
    assert waits.count < n
    return False


# Cursors of psycopg's that were interrupted stay open; they go with the connection.
@pytest.mark.filterwarnings("ignore:<psycopg.ServerCursor:ResourceWarning")
@pytest.mark.parametrize(
    ("work", "interruption"),
    [
        *product([upsert, search, stream, matrices, collection, quick_search], [KeyboardInterrupt, Timeout]),
        # Not what makes SQLAlchemy close a cursor or reset a connection, where it keeps an error to itself.
        *product([upsert, search, matrices, quick_search], [TimeLimit]),
    ],
)
def test_it_leaves_nothing(database, work, interruption):
    n = 1
    while is_interrupted(work, database, interruption, n):
        assert database.engine.pool.checkedout() == 0
        with database.begin() as session:
            session.execute(text("SELECT '[1]'::vector"))
            assert session.execute(SETTINGS).one() == ("40", "off", "0")
            assert Repository(session, Point).count() == 150
            assert [hit.entity.id for hit in Repository(session, Point).nearest([1, 7], 1)] == [7]
        n += 1
    assert n > 3
