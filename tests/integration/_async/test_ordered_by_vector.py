"""Vectors that are ordered by themselves, in pgvector's order, DISTINCT or with a label; and those of a view."""

from __future__ import annotations

import pytest
from sqlalchemy import Integer, select, text, union_all
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.schema import CreateTable

from rowspace import AsyncRepository, Bit, HalfVector, SparseVector, Vector


class Base(DeclarativeBase):
    pass


class Point(Base):
    __tablename__ = "points"
    id = mapped_column(Integer, primary_key=True)
    v = mapped_column(Vector(2))
    h = mapped_column(HalfVector(2))
    s = mapped_column(SparseVector(2))
    b = mapped_column(Bit(2))


#: As bytes, a negative number comes after a positive one.
PLACES = [[1, 2], [-1, 3], [1, 2], [-2, 1], [0, 0]]
SORTED = [[-2, 1], [-1, 3], [0, 0], [1, 2]]


@pytest.fixture
async def session(either_session):
    await (await either_session.connection()).execute(CreateTable(Point.__table__))
    rows = [{"id": n, "v": v, "h": v, "s": v, "b": [v[0] > 0, True]} for n, v in enumerate(PLACES)]
    await AsyncRepository(either_session, Point, column="v").upsert(rows)
    return either_session


async def listed(session, statement):
    return [list(map(int, v.to_numpy() if hasattr(v, "to_numpy") else v)) for v in await session.scalars(statement)]


@pytest.mark.parametrize(("name", "expected"), [("v", SORTED), ("h", SORTED), ("s", SORTED), ("b", [[0, 1], [1, 1]])])
async def test_distinct(session, name, expected):
    column = getattr(Point, name)
    statement = select(column).distinct().order_by(column)
    values = await listed(session, statement)
    assert sorted(values) == sorted(expected)
    # A sparse vector sorts by the places of its numbers first.
    assert name == "s" or values == expected
    assert await listed(session, statement.order_by(None).order_by(column.desc())) == values[::-1]


@pytest.mark.parametrize(
    ("order", "descending"), [("x", False), (text("x DESC"), True), (Point.v.label("x").desc(), True)]
)
async def test_a_label(session, order, descending):
    found = await listed(session, select(Point.v.label("x")).order_by(order))
    assert found == sorted(PLACES, reverse=descending)


async def test_a_union_and_whole_rows(session):
    both = union_all(select(Point.v).where(Point.id < 2), select(Point.v).where(Point.id >= 2)).order_by("v")
    assert await listed(session, both) == sorted(PLACES)
    points = await session.scalars(select(Point).distinct().order_by(Point.v, Point.id))
    assert [point.id for point in points] == [3, 1, 4, 0, 2]


async def test_a_view_has_vectors_too(session):
    """Of an instrumented engine it had columns of bytes, also by SQLAlchemy's own CREATE VIEW."""
    connection = await session.connection()
    statement = select(Point.v, Point.b).where(Point.id < 2)
    shown = statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
    await session.execute(text(f"CREATE TEMPORARY VIEW seen AS {shown}"))
    types = await session.execute(text("SELECT pg_typeof(v)::text, pg_typeof(b)::text FROM seen"))
    assert types.all() == [("vector", "bit")] * 2
