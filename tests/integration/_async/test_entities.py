"""Objects that are made from the driver's rows are those that the ORM makes, and where it does more, it makes them."""

from __future__ import annotations

import enum
import pickle
from datetime import datetime
from decimal import Decimal
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np
import pytest
from sqlalchemy import ForeignKey, Numeric, String, event, func, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, with_loader_criteria
from sqlalchemy.types import TypeDecorator
from sqlalchemy.util import greenlet_spawn

from rowspace import HNSW, AsyncRepository, AsyncSearchRepository, Vector
from rowspace.models import MetadataMixin
from rowspace.repositories import entities
from rowspace.repositories._async import searching


class Base(DeclarativeBase):
    pass


class Color(enum.Enum):
    RED = "r"
    BLUE = "b"


class Shouted(TypeDecorator[str]):
    """Text in capitals where Python sees it."""

    impl = String
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Any) -> str:
        return str(value).upper()


class Shelf(Base):
    __tablename__ = "entity_shelves"
    id: Mapped[int] = mapped_column(primary_key=True)
    books: Mapped[list[Book]] = relationship(back_populates="shelf")


class Book(MetadataMixin, Base):
    """As many types as people use, a key of two columns, and a vector that is not deferred."""

    __tablename__ = "entity_books"
    __table_args__ = (HNSW("l2").index("vector", name="ix_entity_books"),)
    library: Mapped[str] = mapped_column("lib", primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(Shouted)
    color: Mapped[Color]
    price: Mapped[Decimal] = mapped_column(Numeric(8, 2))
    weight: Mapped[float] = mapped_column(Numeric(8, 2, asdecimal=False))
    printed: Mapped[datetime] = mapped_column(server_default=func.now())
    summary: Mapped[str] = mapped_column(deferred=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey("entity_shelves.id"))
    vector: Mapped[Any] = mapped_column(Vector(3))
    shelf: Mapped[Shelf] = relationship(back_populates="books")


class Leaf(Base):
    """A key of one column, and an event of its own."""

    __tablename__ = "entity_leaves"
    __table_args__ = (HNSW("l2").index("vector", name="ix_entity_leaves"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    vector: Mapped[Any] = mapped_column(Vector(3))


QUERY = [1.0, 5.125, 0.0]
NUMBERS = [5, 6, 4]

vector_of, summary_of, shelf_of, title_of = map(attrgetter, ("vector", "summary", "shelf", "title"))


@pytest.fixture(scope="module", autouse=True)
def tables(create_tables):
    create_tables(Base.metadata)


@pytest.fixture
async def rows(database):
    """Twenty books and leaves on a line, in the transaction of the test."""
    async with database.sessions.begin() as session:
        session.add(Shelf(id=1))
        await session.flush()
        for number in range(20):
            vector = [1.0, float(number), 0.0]
            book = {"title": f"book {number}", "color": Color.BLUE, "price": Decimal("1.50"), "weight": 2.5}
            rest = {"summary": "...", "shelf_id": 1, "meta": {"n": number}, "vector": vector}
            session.add(Book(library="main", number=number, **book, **rest))
            session.add(Leaf(id=number, vector=vector))


@pytest.fixture
async def books(rows, session):
    """A repository that has searched before, so that objects are made without the ORM."""
    repository = AsyncRepository(session, Book)
    await searched(repository)
    await searched(repository, where={"n": {"$lt": 10}})
    session.expunge_all()
    return repository


@pytest.fixture
def direct(monkeypatch):
    """The statements that went by the driver's cursor."""
    statements: list[str] = []

    def run(proxied: Any, statement: Any, parameters: Any, **options: Any) -> Any:
        statements.append(statement.text)
        return real(proxied, statement, parameters, **options)

    real = entities.run
    monkeypatch.setattr(entities, "run", run)
    return statements


async def searched(repository, **options: Any) -> list[Any]:
    return [hit.entity for hit in await repository.nearest(QUERY, 3, **options)]


async def by_orm(repository, monkeypatch, **options: Any) -> list[Any]:
    with monkeypatch.context() as patched:
        patched.setattr(searching, "plain_session", lambda *_: None)
        return await searched(repository, **options)


def left_on(entity: Any) -> dict[str, Any]:
    """What is on the state of an object, without what is another for each object and each statement."""
    own = {"obj", "_instance_dict", "runid", "session_id", "identity_token"}
    state = inspect(entity)
    return {name: value for name, value in vars(state).items() if name not in own} | {
        "callables": dict(state.callables),
        "unloaded": state.unloaded,
        "expired": state.expired_attributes,
    }


@pytest.mark.parametrize("options", [{}, {"where": {"n": {"$lt": 10}}}, {"exact": True}, {"with_embedding": True}])
async def test_objects_are_those_of_the_orm(books, direct, monkeypatch, options):
    expected = await by_orm(books, monkeypatch, **options)
    values = [(vars(book).copy(), left_on(book)) for book in expected]
    books.session.expunge_all()
    await searched(books, **options)
    books.session.expunge_all()
    direct.clear()
    found = await searched(books, **options)
    assert len(direct) == 1
    assert [book.number for book in found] == NUMBERS
    for book, (attributes, state) in zip(found, values, strict=True):
        assert left_on(book) == state
        assert vars(book).keys() == attributes.keys()
        for name in attributes.keys() - {"_sa_instance_state"}:
            assert np.array_equal(getattr(book, name), attributes[name]), name
        assert inspect(book).persistent
        assert book in books.session


async def test_values_are_those_of_the_types(books, direct):
    [first, *_] = await searched(books)
    assert direct
    assert (first.title, first.color, first.library) == ("BOOK 5", Color.BLUE, "main")
    assert isinstance(first.price, Decimal)
    assert isinstance(first.weight, float)
    assert isinstance(first.printed, datetime)
    assert first.meta == {"n": 5}


async def test_what_was_left_out_is_loaded_when_asked_for(books):
    [first, *_] = await searched(books)
    assert {"vector", "summary"} <= inspect(first).unloaded
    assert (await greenlet_spawn(vector_of, first)).tolist() == [1, 5, 0]
    assert await greenlet_spawn(summary_of, first) == "..."
    assert (await greenlet_spawn(shelf_of, first)).id == 1


async def test_it_is_refreshed_as_the_orms_are(books, session, monkeypatch):
    left = []
    for load in (partial(by_orm, monkeypatch=monkeypatch), searched):
        session.expunge_all()
        [first, *_] = await load(books)
        session.expire(first)
        assert await greenlet_spawn(title_of, first) == "BOOK 5"
        left.append(inspect(first).unloaded)
    assert left[0] == left[1]


async def test_an_object_is_changed_and_written(books, session):
    [first, *_] = await searched(books)
    first.title = "changed"
    assert first in session.dirty
    await session.commit()
    session.expunge_all()
    assert (await searched(books))[0].title == "CHANGED"


async def test_what_the_session_has_is_returned_as_it_is(books, session, direct):
    [first, *_] = await searched(books)
    with session.no_autoflush:
        first.title = "mine"
        assert [(await searched(books))[0].title, len(direct)] == ["mine", 2]
    assert (await searched(books))[0] is first


async def test_what_the_session_has_in_part_is_filled_up(books, session):
    [first, second, _] = await searched(books)
    session.expire(first, ["title"])
    session.expire(second)
    found = await searched(books)
    assert found[:2] == [first, second]
    assert [vars(book).get("title") for book in found] == ["BOOK 5", "BOOK 6", "BOOK 4"]


async def test_an_embedding_that_is_asked_for_later_is_put_on_the_object(books):
    [first, *_] = await searched(books)
    assert "vector" not in vars(first)
    await searched(books, with_embedding=True)
    assert vars(first)["vector"].tolist() == [1, 5, 0]


async def test_what_is_pending_is_found(books, session, direct):
    direct.clear()
    rest = {"title": "new", "color": Color.RED, "price": 1, "weight": 1, "summary": "", "shelf_id": 1}
    session.add(Book(library="main", number=99, vector=[1, 5, 0], **rest))
    assert 99 in [book.number for book in await searched(books)]
    assert not direct


async def test_what_was_deleted_is_not_found(books, session):
    [first, *_] = await searched(books)
    await session.delete(first)
    assert first not in await searched(books)


async def test_an_object_is_let_go(books, session):
    await searched(books)
    assert not list(session.identity_map.keys())


async def test_it_is_detached_and_pickled(books, session):
    [first, *_] = await searched(books)
    session.expunge(first)
    copy = pickle.loads(pickle.dumps(first))  # noqa: S301 # its own
    assert (copy.title, copy.number) == ("BOOK 5", 5)


async def test_it_stays_where_a_savepoint_is_rolled_back(books, session):
    async with session.begin_nested() as savepoint:
        [first, *_] = await searched(books)
        first.title = "changed"
        await session.flush()
        await savepoint.rollback()
    assert (await searched(books))[0] is first
    assert await greenlet_spawn(title_of, first) == "BOOK 5"


async def test_criteria_of_the_session_hold(books, session, direct):
    def one_library(execution: Any) -> None:
        criteria = with_loader_criteria(Book, lambda cls: cls.number != 5)
        execution.statement = execution.statement.options(criteria)

    event.listen(getattr(session, "sync_session", session), "do_orm_execute", one_library)
    assert [book.number for book in await searched(books)] == [6, 4, 7]
    assert not direct


async def test_events_of_a_class_happen(rows, session, direct):
    leaves = AsyncRepository(session, Leaf)
    await searched(leaves)
    session.expunge_all()
    direct.clear()
    seen: list[Any] = []
    heard = partial(lambda leaf, _: seen.append(leaf.id))
    event.listen(Leaf, "load", heard)
    try:
        found = await searched(leaves)
    finally:
        event.remove(Leaf, "load", heard)
    assert [leaf.id for leaf in found] == seen == NUMBERS
    assert not direct


async def test_events_of_the_session_happen(books, session, direct):
    seen: list[Any] = []
    event.listen(
        getattr(session, "sync_session", session), "loaded_as_persistent", lambda _, book: seen.append(book.number)
    )
    await searched(books)
    assert seen == NUMBERS
    assert not direct


@pytest.mark.parametrize("name", ["before_execute", "after_execute", "before_cursor_execute", "after_cursor_execute"])
async def test_who_listens_to_the_connection_hears_of_it(books, session, direct, name):
    heard: list[Any] = []
    connection = await session.connection()
    event.listen(getattr(connection, "sync_connection", connection), name, lambda *arguments: heard.append(arguments))
    await searched(books)
    assert len(heard) == 1
    assert not direct


async def test_a_session_of_ones_own_runs_it(books, session, direct):
    class Counting(AsyncSession):
        calls = 0

        async def execute(self, *arguments: Any, **options: Any) -> Any:
            Counting.calls += 1
            return await super().execute(*arguments, **options)

    async with Counting(await session.connection(), join_transaction_mode="create_savepoint") as own:
        await searched(AsyncRepository(own, Book))
    assert Counting.calls
    assert not direct


async def test_many_are_made_alike(books, session, direct):
    search = AsyncSearchRepository(session, Book)
    queries = np.array([[1, 5.1, 0], [1, 5.2, 0], [1, 15.1, 0]], np.float32)
    expected = [[hit.entity.number for hit in hits] for hits in await search.nearest_many(queries, 3)]
    session.expunge_all()
    direct.clear()
    found = await search.nearest_many(queries, 3)
    assert len(direct) == 1
    assert [[hit.entity.number for hit in hits] for hits in found] == expected
    assert found[0][0].entity is found[1][0].entity
    assert "vector" in inspect(found[2][0].entity).unloaded
    similar = await search.similar_to(("main", 5), 2)
    assert {hit.entity.number for hit in similar} == {4, 6}


async def test_an_error_is_sqlalchemys(books, session):
    await session.execute(text("ALTER TABLE entity_books RENAME COLUMN title TO name"))
    with pytest.raises(DBAPIError) as raised:
        await searched(books)
    assert "title" in str(raised.value)
    assert "5.0" not in str(raised.value)
    # The transaction is over, as after any error.
    with pytest.raises(DBAPIError):
        await session.execute(text("SELECT 1"))
    await session.rollback()
