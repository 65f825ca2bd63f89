"""A model of many column types: what `upsert` writes comes back unchanged, and the vectors in every other way too."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal

import numpy as np
import pytest
from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    Date,
    DateTime,
    Double,
    Enum,
    Interval,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    Text,
    Time,
    Uuid,
    cast,
    func,
    insert,
    select,
    type_coerce,
    update,
)
from sqlalchemy.dialects.postgresql import CITEXT, INET, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, undefer_group

from rowspace import HNSW, AsyncMatrixRepository, AsyncRepository, Bit, HalfVector, SparseVector, Vector
from rowspace.repositories._async import loading
from rowspace.results import LoadReport
from rowspace.types import SparseValue


class Base(DeclarativeBase):
    pass


class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"


class Everything(Base):
    __tablename__ = "Every thing"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    mood: Mapped[Mood | None] = mapped_column(Enum(Mood, name="Mood of it"))
    moods: Mapped[list[Mood] | None] = mapped_column(ARRAY(Enum(Mood, name="Mood of it")))
    tags: Mapped[list[str | None] | None] = mapped_column(ARRAY(Text))
    grid: Mapped[list[list[int]] | None] = mapped_column(ARRAY(SmallInteger, dimensions=2))
    price: Mapped[Decimal | None] = mapped_column(Numeric(12, 3))
    ratio: Mapped[float | None] = mapped_column("ratio in %", Double)
    at: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))
    local: Mapped[dt.datetime | None] = mapped_column(DateTime)
    day: Mapped[dt.date | None] = mapped_column(Date)
    time: Mapped[dt.time | None] = mapped_column(Time)
    span: Mapped[dt.timedelta | None] = mapped_column(Interval)
    other: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    data: Mapped[bytes | None] = mapped_column(LargeBinary)
    blobs: Mapped[list[bytes] | None] = mapped_column(ARRAY(LargeBinary))
    name: Mapped[str | None] = mapped_column(CITEXT)
    code: Mapped[str | None] = mapped_column(String(4))
    address: Mapped[object] = mapped_column(INET, nullable=True)
    yes: Mapped[bool | None] = mapped_column(Boolean)
    small: Mapped[int | None] = mapped_column(SmallInteger)
    json: Mapped[object] = mapped_column("select", JSONB, nullable=True)
    embedding: Mapped[object] = mapped_column(Vector(3), deferred=True, deferred_group="v", nullable=True)
    half: Mapped[object] = mapped_column(HalfVector(3), deferred=True, deferred_group="v", nullable=True)
    bits: Mapped[object] = mapped_column(Bit(11), deferred=True, deferred_group="v", nullable=True)
    sparse: Mapped[object] = mapped_column(SparseVector(9), deferred=True, deferred_group="v", nullable=True)


class Elsewhere(Base):
    """A vector on PostgreSQL, and JSON on any other database."""

    __tablename__ = "elsewhere"
    __table_args__ = (HNSW("l2").index("embedding"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    embedding: Mapped[object] = mapped_column(JSON().with_variant(Vector(3), "postgresql"))


VECTORS = {
    "embedding": np.array([0.1, -1e-38, 3e38], np.float32),
    "half": np.array([0.1, -6e-8, 65504], np.float16),
    "bits": np.array([1, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1], bool),
    "sparse": SparseValue({0: 0.5, 8: -2.0}, 9),
}
ROW = {
    "id": uuid.UUID(int=7),
    "mood": Mood.GOOD,
    "moods": [Mood.BAD, Mood.GOOD],
    "tags": ["plain", "", None, 'quote"', "back\\slash", "comma,", "{brace}", "NULL", " 数据库 "],
    "grid": [[1, 2], [3, -4]],
    "price": Decimal("-12345.678"),
    "ratio": 0.1,
    "at": dt.datetime(2024, 2, 29, 23, 59, 59, 999_999, dt.UTC),
    "local": dt.datetime(1, 1, 1),  # noqa: DTZ001 -- a timestamp without time zone
    "day": dt.date(9999, 12, 31),
    "time": dt.time(23, 59, 59, 1),
    "span": dt.timedelta(days=-1, microseconds=5),
    "other": uuid.UUID(int=2**128 - 1),
    "data": bytes(range(256)) * 2,
    "blobs": [b"\0\\'\"", b""],
    "name": "Ünïcode",
    "code": "üüüü",
    "address": None,
    "yes": False,
    "small": -32768,
    "json": {"nested": [1, 2.5, None, "\\u0000 in letters", {"数": "据"}], "empty": {}},
    **VECTORS,
}


@pytest.fixture(scope="module", autouse=True)
def tables(create_tables):
    create_tables(Base.metadata)


@pytest.fixture(params=["as parameters", "by COPY"])
def either_way(request, monkeypatch):
    if request.param == "by COPY":
        monkeypatch.setattr(loading, "_FEW", 0)


def same(column, one, two):
    type_ = Everything.__table__.c[column].type
    return type_.compare_values(one, two)


def plain(entity):
    return {name: getattr(entity, name) for name in ROW if name not in VECTORS}


async def the_one(session):
    return await session.scalar(
        select(Everything).options(undefer_group("v")).execution_options(populate_existing=True)
    )


@pytest.mark.usefixtures("either_way")
async def test_a_row_comes_back_as_it_went_in(either_session):
    report = await AsyncRepository(either_session, Everything, column="embedding").upsert([ROW])
    assert report == LoadReport(1, inserted=1)
    entity = await the_one(either_session)
    assert plain(entity) == {name: value for name, value in ROW.items() if name not in VECTORS}
    for name, value in VECTORS.items():
        got = getattr(entity, name)
        assert type(got) is type(value)
        assert got.to_text() == value.to_text() if name == "sparse" else got.tobytes() == value.tobytes()


@pytest.mark.usefixtures("either_way")
async def test_a_row_of_nothing(either_session):
    empty = {**dict.fromkeys(ROW), "id": uuid.UUID(int=8)}
    repository = AsyncRepository(either_session, Everything, column="embedding")
    assert await repository.upsert([empty, ROW]) == LoadReport(2, inserted=2)
    entity = await repository.get(uuid.UUID(int=8))
    assert plain(entity) == {name: empty[name] for name in ROW if name not in VECTORS}


@pytest.mark.usefixtures("either_way")
async def test_an_update_changes_every_column(either_session):
    repository = AsyncRepository(either_session, Everything, column="embedding")
    await repository.upsert([{**dict.fromkeys(ROW), "id": ROW["id"]}])
    assert await repository.upsert([ROW]) == LoadReport(1, updated=1)
    entity = await the_one(either_session)
    assert plain(entity) == {name: value for name, value in ROW.items() if name not in VECTORS}


async def test_columns_that_a_load_does_not_have_stay(session):
    repository = AsyncRepository(session, Everything, column="embedding")
    await repository.upsert([ROW])
    assert await repository.upsert([{"id": ROW["id"], "small": 5}]) == LoadReport(1, updated=1)
    entity = await the_one(session)
    assert (entity.small, entity.price, entity.data) == (5, ROW["price"], ROW["data"])


async def test_the_orm_writes_and_reads_vectors(either_session):
    entity = Everything(id=uuid.UUID(int=9), **VECTORS)
    either_session.add(entity)
    await either_session.flush()
    got = await the_one(either_session)
    assert all(same(name, getattr(got, name), value) for name, value in VECTORS.items())
    got.embedding = [1, 2, 3]
    got.bits = "11111111111"
    await either_session.flush()
    got = await the_one(either_session)
    assert got.embedding.tolist() == [1, 2, 3]
    assert got.bits.all()


async def test_an_equal_value_is_no_change(session):
    session.add(Everything(id=uuid.UUID(int=9), **VECTORS))
    await session.flush()
    entity = await the_one(session)
    for name, value in VECTORS.items():
        setattr(entity, name, value)
    assert not session.is_modified(entity)


async def test_an_array_that_is_changed_in_place_and_assigned_is_stored(either_session):
    await AsyncRepository(either_session, Everything, column="embedding").upsert([ROW])
    entity = await the_one(either_session)
    halved = entity.embedding / 2
    entity.embedding /= 2
    await either_session.flush()
    assert same("embedding", (await the_one(either_session)).embedding, halved)


async def test_core_statements_return_vectors(either_session):
    statement = insert(Everything).values(id=uuid.UUID(int=1), **VECTORS)
    row = (await either_session.execute(statement.returning(Everything.embedding, Everything.sparse))).one()
    assert same("embedding", row.embedding, VECTORS["embedding"])
    assert same("sparse", row.sparse, VECTORS["sparse"])
    changed = update(Everything).values(half=[1, 2, 3]).returning(Everything.half)
    assert (await either_session.scalar(changed)).tolist() == [1, 2, 3]


async def test_vectors_in_expressions(either_session):
    rows = [{"id": uuid.UUID(int=at), "embedding": [at, at, 0], "bits": "1" * 11} for at in range(2)]
    await AsyncRepository(either_session, Everything, column="embedding").upsert(rows)
    average = type_coerce(func.avg(Everything.embedding), Vector(3))
    assert (await either_session.scalar(select(average))).tolist() == [0.5, 0.5, 0]
    inner = select(Everything.id, Everything.embedding.label("renamed")).order_by(Everything.id).subquery()
    got = (await either_session.execute(select(inner.c.renamed).order_by(inner.c.id))).scalars().all()
    assert [vector.tolist() for vector in got] == [[0, 0, 0], [1, 1, 0]]
    widened = select(cast(Everything.embedding, HalfVector(3))).where(Everything.embedding == [1, 1, 0])
    assert (await either_session.scalar(widened)).dtype == np.float16
    union = select(Everything.embedding).union_all(select(Everything.embedding))
    assert len((await either_session.execute(union)).all()) == 4


@pytest.mark.parametrize(
    ("column", "method", "query", "expected"),
    [
        ("embedding", "l2_distance", [1, 2, 2], 3),
        ("embedding", "max_inner_product", [1, 2, 3], 0),
        ("embedding", "l1_distance", [1, 2, 2], 5),
        ("half", "l2_distance", [4, 5, 1], 5),
        ("half", "cosine_distance", [-1, -1, -1], 2),
        ("sparse", "l1_distance", {0: 1.0}, 1),
        ("bits", "hamming_distance", "11000000000", 2),
        ("bits", "jaccard_distance", "11000000000", 1),
    ],
)
async def test_distances(either_session, column, method, query, expected):
    vectors = {"embedding": [0, 0, 0], "half": [1, 1, 1], "sparse": {}, "bits": "0" * 11}
    await AsyncRepository(either_session, Everything, column="embedding").upsert([{"id": uuid.UUID(int=1), **vectors}])
    distance = getattr(getattr(Everything, column), method)(query)
    assert await either_session.scalar(select(distance)) == pytest.approx(expected)


async def test_the_variant_that_is_a_vector_is_searched(either_session):
    repository = AsyncRepository(either_session, Elsewhere)
    await repository.upsert({"id": number, "embedding": np.eye(3, dtype=np.float32)[number]} for number in range(3))
    (hit,) = await repository.nearest([0, 0.5, 0], 1, with_embedding=True)
    assert (hit.entity.id, hit.distance, list(hit.entity.embedding)) == (1, 0.5, [0, 1, 0])
    read = await AsyncMatrixRepository(either_session, Elsewhere).read()
    assert read.vectors[read.keys.index(2)].tolist() == [0, 0, 1]
