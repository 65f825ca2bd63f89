"""Columns with an `onupdate`: a load in bulk sets them as an UPDATE of the ORM does."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from sqlalchemy import DateTime, Integer, Sequence, Text, func, insert, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

from rowspace import AsyncMatrixRepository, AsyncRepository, LoadReport, Vector
from rowspace.errors import ConfigurationError

AT = dt.datetime(2020, 1, 2, 3, 4, 5, 6, dt.UTC)
WHO = "O'Brien \\' %s %(x)s; -- 数据"


class Base(DeclarativeBase):
    pass


class Page(Base):
    __tablename__ = "pages_with_onupdate"
    id = mapped_column(Integer, primary_key=True)
    changed = mapped_column(DateTime(timezone=True), server_default=func.now(), onupdate=func.now())
    seen = mapped_column(DateTime(timezone=True), server_default=func.now(), onupdate=lambda: AT)
    who = mapped_column(Text, server_default="nobody", onupdate=lambda _context: WHO)
    state = mapped_column(Integer, server_default="0", onupdate=7)
    notes = mapped_column(JSONB, server_default="{}", onupdate=lambda: {"by": WHO})
    tags = mapped_column(ARRAY(Text), server_default="{}", onupdate=lambda: [WHO, None])
    gone = mapped_column(Text, server_default="here", onupdate=lambda: None)
    number = mapped_column(Integer, server_default="0", onupdate=Sequence("numbers_of_pages", start=50))
    embedding = mapped_column(Vector(2))


class Signed(Base):
    __tablename__ = "signed_pages"
    id = mapped_column(Integer, primary_key=True)
    who = mapped_column(Text, server_default="nobody", onupdate=lambda context: context.get_current_parameters()["id"])
    embedding = mapped_column(Vector(2))


@pytest.fixture(scope="module", autouse=True)
def tables(create_tables):
    create_tables(Base.metadata)


SET = (AT, WHO, 7, {"by": WHO}, [WHO, None], None)
COLUMNS = (Page.seen, Page.who, Page.state, Page.notes, Page.tags, Page.gone)


@pytest.fixture
async def stored(session):
    await session.execute(insert(Page).values(id=1, embedding=[1, 2]))
    assert (await session.execute(select(*COLUMNS[1:]))).one() == ("nobody", 0, {}, [], "here")
    return session


async def test_an_upsert_sets_them_where_it_updates(stored):
    rows = [{"id": 1, "embedding": [3, 4]}, {"id": 2, "embedding": [5, 6]}]
    assert await AsyncRepository(stored, Page).upsert(rows) == LoadReport(2, inserted=1, updated=1)
    assert (await stored.execute(select(*COLUMNS).where(Page.id == 1))).one() == SET
    assert await stored.scalar(select(Page.number).where(Page.id == 1)) >= 50
    assert (await stored.execute(select(*COLUMNS[1:]).where(Page.id == 2))).one() == ("nobody", 0, {}, [], "here")


async def test_vectors_that_are_set_by_key_set_them(stored):
    assert await AsyncMatrixRepository(stored, Page).update([1], np.ones((1, 2))) == 1
    assert (await stored.execute(select(*COLUMNS))).one() == SET


async def test_what_the_rows_bring_is_taken(stored):
    await AsyncRepository(stored, Page).upsert([{"id": 1, "embedding": [3, 4], "who": "me", "state": 1}])
    assert (await stored.execute(select(Page.who, Page.state))).one() == ("me", 1)


async def test_a_function_that_asks_the_statement_is_refused_unless_the_rows_bring_its_column(session):
    pages = AsyncRepository(session, Signed)
    with pytest.raises(ConfigurationError, match=r"signed_pages\.who needs a statement of SQLAlchemy's: .*NoneType"):
        await pages.upsert([{"id": 1, "embedding": [1, 2]}])
    assert await pages.upsert([{"id": 1, "embedding": [1, 2], "who": "me"}]) == LoadReport(1, inserted=1)
