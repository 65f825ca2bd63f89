"""Arrays of vectors: asyncpg reads them; where the driver gives their text, the error says how to do it otherwise."""

from __future__ import annotations

import re

import numpy as np
import pytest
from sqlalchemy import ARRAY, Integer, Text, cast, func, select
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.schema import CreateTable

from rowspace import AsyncRepository, Bit, HalfVector, SparseVector, Vector
from rowspace.errors import ConfigurationError


class Base(DeclarativeBase):
    pass


class Album(Base):
    __tablename__ = "albums"
    id = mapped_column(Integer, primary_key=True)
    cover = mapped_column(Vector(2))
    pages = mapped_column(ARRAY(Vector(2), dimensions=1))
    small = mapped_column(ARRAY(HalfVector(2), dimensions=1))
    sparse = mapped_column(ARRAY(SparseVector(2), dimensions=1))
    bits = mapped_column(ARRAY(Bit(3), dimensions=1))


ROW = {
    "id": 1,
    "cover": [1, 2],
    "pages": [[1, 2], None, [3, 4.5]],
    "small": [[1, 0]],
    "sparse": [[0, 1]],
    "bits": [[True, False, True]],
}
ARRAYS = {"pages": Vector(2), "small": HalfVector(2), "sparse": SparseVector(2), "bits": Bit(3)}


@pytest.fixture
async def session(either_session):
    await (await either_session.connection()).execute(CreateTable(Album.__table__))
    await AsyncRepository(either_session, Album, column="cover").upsert([ROW])
    return either_session


def listed(value):
    return None if value is None else np.asarray(value.to_numpy() if hasattr(value, "to_numpy") else value).tolist()


@pytest.mark.parametrize("column", ARRAYS)
async def test_an_array_is_read_whole_or_refused_and_always_row_by_row(session, driver, column):
    attribute = getattr(Album, column)
    # psycopg knows the arrays of PostgreSQL's own types.
    if driver == "asyncpg" or (driver == "psycopg" and column == "bits"):
        assert [listed(one) for one in await session.scalar(select(attribute))] == ROW[column]
    else:
        with pytest.raises(ConfigurationError, match=re.escape("select(func.unnest(column, type_=Vector(3)))")):
            await session.scalar(select(attribute))
    rows = await session.scalars(select(func.unnest(attribute, type_=ARRAYS[column])))
    assert [listed(one) for one in rows] == ROW[column]


async def test_vectors_that_are_gathered_into_an_array(session, driver):
    gathered = select(func.array_agg(Album.cover))
    if driver == "asyncpg":
        assert [listed(one) for one in await session.scalar(gathered)] == [[1, 2]]
        return
    with pytest.raises(
        ConfigurationError, match="got the text of an array of vectors, which this driver does not parse"
    ):
        await session.scalar(gathered)


async def test_the_session_writes_them_as_a_load_does(session):
    session.add(Album(**{**ROW, "id": 2, "cover": [1, 3]}))
    await session.flush()
    for attribute in ARRAYS:
        column = getattr(Album, attribute)
        both = select(func.count(func.distinct(cast(column, Text)))).where(column.is_not(None))
        assert await session.scalar(both) == 1
