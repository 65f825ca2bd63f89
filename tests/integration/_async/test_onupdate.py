"""Columns that the rows of a load do not bring are set as the ORM would set them: `default`, `onupdate`, versions."""

from __future__ import annotations

import datetime as dt
import itertools
import uuid
from typing import ClassVar

import numpy as np
import pytest
from sqlalchemy import DateTime, Integer, Sequence, Text, Uuid, func, insert, literal_column, select, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.orm.exc import StaleDataError

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
    by = mapped_column(Text, onupdate="the load: 100%")
    number = mapped_column(Integer, server_default="0", onupdate=Sequence("numbers_of_pages", start=50))
    embedding = mapped_column(Vector(2))


class Signed(Base):
    __tablename__ = "signed_pages"
    id = mapped_column(Integer, primary_key=True)
    who = mapped_column(Text, server_default="nobody", onupdate=lambda context: context.get_current_parameters()["id"])
    embedding = mapped_column(Vector(2))


PLACES, CODES = itertools.count(), itertools.count()


class Draft(Base):
    """A text of each kind that a new row gets, one of which may not be missing."""

    __tablename__ = "drafts_with_defaults"
    id = mapped_column(Integer, primary_key=True)
    place = mapped_column("its place", Integer, nullable=False, default=lambda: next(PLACES))
    token = mapped_column(Uuid, default=uuid.uuid4)
    meta = mapped_column("metadata", JSONB, nullable=False, default=dict)
    state = mapped_column(Text, default=WHO, server_default="of the server")
    made = mapped_column(DateTime(timezone=True), default=func.now())
    number = mapped_column(Integer, default=Sequence("numbers_of_drafts", start=70))
    code = mapped_column(Integer, default=lambda: 1, onupdate=lambda: next(CODES))
    embedding = mapped_column(Vector(2))


class Dated(Base):
    __tablename__ = "dated_drafts"
    id = mapped_column(Integer, primary_key=True)
    who = mapped_column(Text, default=lambda context: context.get_current_parameters()["id"])
    embedding = mapped_column(Vector(2))


class Versioned(Base):
    __tablename__ = 'pages "of" versions'
    id = mapped_column(Integer, primary_key=True)
    version = mapped_column("its version", Integer, nullable=False)
    title = mapped_column(Text)
    embedding = mapped_column(Vector(2))
    __mapper_args__: ClassVar = {"version_id_col": version}


class Stamped(Base):
    __tablename__ = "stamped_pages"
    id = mapped_column(Integer, primary_key=True)
    stamp = mapped_column(Uuid, nullable=False)
    embedding = mapped_column(Vector(2))
    __mapper_args__: ClassVar = {"version_id_col": stamp, "version_id_generator": lambda _version: uuid.uuid4()}


class Counted(Base):
    __tablename__ = "counted_pages"
    id = mapped_column(Integer, primary_key=True)
    changes = mapped_column(Integer, server_default="0", onupdate=literal_column("counted_pages.changes + 1"))
    embedding = mapped_column(Vector(2))


@pytest.fixture(scope="module", autouse=True)
def tables(create_tables):
    create_tables(Base.metadata)


SET = (AT, WHO, 7, {"by": WHO}, [WHO, None], None, "the load: 100%")
NEW = ("nobody", 0, {}, [], "here", None)
COLUMNS = (Page.seen, Page.who, Page.state, Page.notes, Page.tags, Page.gone, Page.by)


@pytest.fixture
async def stored(session):
    await session.execute(insert(Page).values(id=1, embedding=[1, 2]))
    assert (await session.execute(select(*COLUMNS[1:]))).one() == NEW
    return session


async def test_an_upsert_sets_them_where_it_updates(stored):
    rows = [{"id": 1, "embedding": [3, 4]}, {"id": 2, "embedding": [5, 6]}]
    assert await AsyncRepository(stored, Page).upsert(rows) == LoadReport(2, inserted=1, updated=1)
    assert (await stored.execute(select(*COLUMNS).where(Page.id == 1))).one() == SET
    assert await stored.scalar(select(Page.number).where(Page.id == 1)) >= 50
    assert (await stored.execute(select(*COLUMNS[1:]).where(Page.id == 2))).one() == NEW


async def test_vectors_that_are_set_by_key_set_them(stored):
    assert await AsyncMatrixRepository(stored, Page).update([1], np.ones((1, 2))) == 1
    assert (await stored.execute(select(*COLUMNS))).one() == SET


async def test_what_the_rows_bring_is_taken(stored):
    await AsyncRepository(stored, Page).upsert([{"id": 1, "embedding": [3, 4], "who": "me", "state": 1}])
    assert (await stored.execute(select(Page.who, Page.state))).one() == ("me", 1)


async def test_a_function_that_asks_the_statement_is_refused_unless_the_rows_bring_its_column(session):
    pages = AsyncRepository(session, Signed)
    with pytest.raises(ConfigurationError, match=r"signed_pages\.who needs a statement of SQLAlchemy: .*NoneType"):
        await pages.upsert([{"id": 1, "embedding": [1, 2]}])
    assert await pages.upsert([{"id": 1, "embedding": [1, 2], "who": "me"}]) == LoadReport(1, inserted=1)


def drafts(*keys):
    return [{"id": key, "embedding": [key, 1]} for key in keys]


async def of_drafts(session, *columns):
    return [tuple(row) for row in await session.execute(select(*columns).order_by(Draft.id))]


async def test_new_rows_get_their_defaults_and_known_ones_keep_what_they_have(session):
    repository, before = AsyncRepository(session, Draft), next(PLACES)
    assert await repository.upsert(drafts(1, 2, 3), batch_size=2) == LoadReport(3, inserted=3)
    assert await of_drafts(session, Draft.place) == [(before + 1,), (before + 2,), (before + 3,)]
    assert await of_drafts(session, Draft.meta, Draft.state, Draft.code) == [({}, WHO, 1)] * 3
    numbers = {number for (number,) in await of_drafts(session, Draft.number)}
    assert (len(numbers), min(numbers) >= 70) == (3, True)
    assert await session.scalar(select(func.count(Draft.made))) == 3
    tokens = await of_drafts(session, Draft.token)
    assert len({*tokens}) == 3
    assert isinstance(tokens[0][0], uuid.UUID)
    kept = (Draft.place, Draft.token, Draft.number, Draft.made)
    known = await of_drafts(session, *kept)
    assert await repository.upsert(drafts(2, 3, 4)) == LoadReport(3, inserted=1, updated=2)
    assert (await of_drafts(session, *kept))[:3] == known
    assert await repository.upsert([{"id": 4, "place": -1}]) == LoadReport(1, updated=1)
    assert (await of_drafts(session, Draft.place))[3] == (-1,)
    assert await AsyncMatrixRepository(session, Draft).update([1], np.ones((1, 2))) == 1
    assert (await of_drafts(session, *kept))[0] == known[0]


async def test_rows_of_a_key_alone_get_their_defaults_and_are_left_as_they_are(session):
    repository = AsyncRepository(session, Draft)
    assert await repository.upsert([{"id": 1}]) == LoadReport(1, inserted=1)
    known = await of_drafts(session, Draft.place, Draft.token, Draft.code)
    assert await repository.upsert([{"id": 1}]) == LoadReport(1, unchanged=1)
    again = [{"id": key} for key in (1, 2, 2, 3, 1)]
    assert await repository.upsert(again, batch_size=1) == LoadReport(5, inserted=2, unchanged=1, duplicates=2)
    assert (await of_drafts(session, Draft.place, Draft.token, Draft.code))[:1] == known


async def test_a_function_is_called_for_each_new_row_and_once_for_the_rows_that_an_update_sets(session):
    session.add_all(Draft(**row) for row in drafts(1, 2, 3))
    await session.flush()
    places = {place for (place,) in await of_drafts(session, Draft.place)}
    assert len(places) == 3  # by the ORM, one a row as well
    before = next(CODES)
    await AsyncRepository(session, Draft).upsert([{**row, "place": 0, "token": None} for row in drafts(1, 2, 3)])
    loaded = await of_drafts(session, Draft.code)
    await session.execute(update(Draft).values(place=1))
    # As one UPDATE of SQLAlchemy's does it.
    assert [loaded, await of_drafts(session, Draft.code)] == [[(before + 1,)] * 3, [(before + 2,)] * 3]


async def test_a_default_that_asks_the_statement_is_refused_unless_the_rows_bring_its_column(session):
    repository = AsyncRepository(session, Dated)
    with pytest.raises(ConfigurationError, match=r"The default of dated_drafts\.who needs a statement of SQLAlchemy"):
        await repository.upsert(drafts(1))
    assert await repository.upsert([{**row, "who": "me"} for row in drafts(1)]) == LoadReport(1, inserted=1)
    # An update makes no new row.
    assert await AsyncMatrixRepository(session, Dated).update([1], np.ones((1, 2))) == 1


@pytest.mark.parametrize("batch_size", [1, 200])
async def test_a_load_counts_versions_up_so_that_a_session_notices_what_it_would_overwrite(session, batch_size):
    pages = AsyncRepository(session, Versioned)
    rows = [{"id": key, "embedding": [key, 1]} for key in range(1, 151)]
    assert await pages.upsert(rows, batch_size=batch_size) == LoadReport(150, inserted=150)
    held = await session.get_one(Versioned, 7)
    assert held.version == 1
    assert await pages.upsert(rows, batch_size=batch_size) == LoadReport(150, updated=150)
    assert await AsyncMatrixRepository(session, Versioned).update([7], np.ones((1, 2))) == 1
    versions = select(Versioned.version, func.count()).group_by(Versioned.version).order_by(Versioned.version)
    assert [tuple(row) for row in await session.execute(versions)] == [(2, 149), (3, 1)]
    held.title = "as it was read before"
    with pytest.raises(StaleDataError):
        await session.flush()


async def test_versions_that_are_no_numbers_are_made_anew(session):
    pages = AsyncRepository(session, Stamped)
    await pages.upsert([{"id": 1, "embedding": [1, 1]}])
    first = await session.scalar(select(Stamped.stamp))
    await pages.upsert([{"id": 1, "embedding": [2, 1]}])
    assert await session.scalar(select(Stamped.stamp)) != first


async def test_a_version_that_the_rows_bring_is_taken(session):
    pages = AsyncRepository(session, Versioned)
    await pages.upsert([{"id": 1, "version": 5}])
    await pages.upsert([{"id": 1, "version": 9}])
    assert await session.scalar(select(Versioned.version)) == 9


async def test_what_a_column_is_set_to_may_refer_to_its_table(session):
    rows = [{"id": 1, "embedding": [1, 1]}]
    for _ in range(2):
        await AsyncRepository(session, Counted).upsert(rows)
    assert await AsyncMatrixRepository(session, Counted).update([1], np.ones((1, 2))) == 1
    assert await session.scalar(select(Counted.changes)) == 2
