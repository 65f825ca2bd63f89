"""Searches go on beside a migration that alters their table: what a connection has prepared is prepared anew."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import String, make_url, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import AsyncDatabase, AsyncRepository, Database, Repository, Vector
from rowspace.errors import TransactionConflict


class Base(DeclarativeBase):
    """The application's."""


class Note(Base):
    """A row."""

    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String)
    embedding = mapped_column(Vector(2))


def search(database):
    with database.session() as session:
        return [hit.entity.title for hit in Repository(session, Note).nearest([1, 2], k=1)]


async def search_async(database):
    async with database.session() as session:
        return [hit.entity.title for hit in await AsyncRepository(session, Note).nearest([1, 2], k=1)]


@pytest.fixture
def url(new_database):
    made = make_url(new_database())
    with Database.open(made) as database, database.begin() as session:
        session.execute(text("CREATE TABLE notes (id int PRIMARY KEY, title varchar(9), embedding vector(2))"))
        session.execute(text("INSERT INTO notes VALUES (1, 'one', '[1,2]')"))
    return made


def alter(url):
    with Database.open(url) as database, database.begin() as session:
        session.execute(text("ALTER TABLE notes ALTER title TYPE text"))


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_sessions(url, driver):
    with Database.open(url.set(drivername=f"postgresql+{driver}")) as database:
        for _ in range(6):  # then psycopg prepares
            search(database)
        alter(url)
        assert search(database) == ["one"]


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_async_sessions(url, driver):
    async with AsyncDatabase.open(url.set(drivername=f"postgresql+{driver}"), pool_size=3) as database:
        for _ in range(6):
            # On all connections of the pool.
            await asyncio.gather(*[search_async(database) for _ in range(3)])
        alter(url)
        if driver == "asyncpg":
            with pytest.raises(TransactionConflict, match="cached statement plan is invalid"):
                await search_async(database)
        for _ in range(3):
            assert await asyncio.gather(*[search_async(database) for _ in range(3)]) == [["one"]] * 3


async def upsert_async(database):
    async with database.begin() as session:
        report = await AsyncRepository(session, Note).upsert([{"id": 1, "title": "one", "embedding": [1, 2]}])
        return ["one"] * report.updated


def make_anew(url):
    with Database.open(url) as database, database.begin() as session:
        session.execute(text("DROP EXTENSION vector CASCADE"))
        session.execute(text("CREATE EXTENSION vector"))
        session.execute(text("ALTER TABLE notes ADD embedding vector(2)"))
        session.execute(text("UPDATE notes SET embedding = '[1,2]'"))


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_the_extension_made_anew(url, driver):
    with Database.open(url.set(drivername=f"postgresql+{driver}")) as database:
        for _ in range(6):
            search(database)
        make_anew(url)
        assert search(database) == ["one"]


ANEW = [("psycopg", search_async, 0), ("psycopg", upsert_async, 2), ("asyncpg", search_async, 2)]


# The last: by SQLAlchemy, a connection that is given up takes the others of the pool with it.
@pytest.mark.parametrize(("driver", "work", "errors"), [*ANEW, ("asyncpg", upsert_async, 1)])
async def test_the_extension_made_anew_is_an_error_a_connection_at_most(url, driver, work, errors):
    """A codec of asyncpg's is of a type by its number, and after a restore each search of the pool was an error."""
    async with AsyncDatabase.open(url.set(drivername=f"postgresql+{driver}"), pool_size=2) as database:
        for _ in range(6):
            await asyncio.gather(*[work(database) for _ in range(2)])
        make_anew(url)
        for _ in range(errors):
            with pytest.raises(TransactionConflict, match="created again") as conflict:
                await work(database)
            assert "x00" not in str(conflict.value)
        for _ in range(3):
            assert await asyncio.gather(*[work(database) for _ in range(2)]) == [["one"]] * 2
