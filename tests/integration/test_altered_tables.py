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
