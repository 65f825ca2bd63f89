"""Columns of whatever types a model has: as the application sees their values, and back to what they were."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pgvector.sqlalchemy import HALFVEC, VECTOR
from sqlalchemy import (
    ARRAY,
    JSON,
    REAL,
    Computed,
    Date,
    Double,
    Enum,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    Text,
    TypeDecorator,
    Uuid,
    func,
    select,
    text,
    union_all,
)
from sqlalchemy.dialects.postgresql import DOMAIN, HSTORE, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import Bit, Repository, SparseVector, Vector
from rowspace.errors import ConfigurationError, DimensionMismatch, InvalidRow
from rowspace.integrations.arrow import read_table, write_table
from rowspace.integrations.pandas import read_frame, write_frame


class Base(DeclarativeBase):
    pass


class Color(enum.Enum):
    RED = "r"


class Secret(TypeDecorator[str]):
    """Text that is another one in the database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return value and "sealed:" + value

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return value and value.removeprefix("sealed:")


class Turned(TypeDecorator[str]):
    """Text that the server turns around on its way in and out."""

    impl = Text
    cache_ok = True

    def bind_expression(self, bindvalue: Any) -> Any:
        return func.reverse(bindvalue)

    def column_expression(self, column: Any) -> Any:
        return func.reverse(column)


class Shifted(TypeDecorator[int]):
    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return value and value + 1_000

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return value and value - 1_000


class Money(TypeDecorator[complex]):
    """A number that is an object of a class of one's own: here one that Arrow does not know."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return int(value.real)

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return complex(value, 0)


class Code(TypeDecorator[int]):
    """A whole number that is text in the database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return f"c{value}"

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return int(value[1:])


class Coded(Base):
    __tablename__ = "coded_things"
    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[int] = mapped_column(Code)
    vector: Mapped[Any] = mapped_column(Vector(2))


class Thing(Base):
    __tablename__ = "things_of_types"
    id: Mapped[int] = mapped_column(primary_key=True)
    secret: Mapped[str | None] = mapped_column(Secret)
    turned: Mapped[str | None] = mapped_column(Turned)
    shifted: Mapped[int | None] = mapped_column(Shifted)
    color: Mapped[Color | None] = mapped_column(Enum(Color, values_callable=lambda kind: [o.value for o in kind]))
    colors: Mapped[list[Color] | None] = mapped_column(ARRAY(Enum(Color, name="shade")))
    days: Mapped[list[dt.date] | None] = mapped_column(ARRAY(Date))
    serials: Mapped[list[uuid.UUID] | None] = mapped_column(ARRAY(Uuid))
    prices: Mapped[list[decimal.Decimal] | None] = mapped_column(ARRAY(Numeric(30, 2)))
    ratios: Mapped[list[float] | None] = mapped_column(ARRAY(Double))
    grid: Mapped[list[list[int]] | None] = mapped_column(ARRAY(Integer, dimensions=2))
    blobs: Mapped[list[bytes] | None] = mapped_column(ARRAY(LargeBinary))
    took: Mapped[dt.timedelta | None] = mapped_column(Interval)
    pairs: Mapped[dict[str, Any] | None] = mapped_column(HSTORE)
    sparse: Mapped[Any] = mapped_column(SparseVector(4), nullable=True)
    vector: Mapped[Any] = mapped_column(VECTOR(3), nullable=True)
    half: Mapped[Any] = mapped_column(HALFVEC(2), nullable=True)
    bits: Mapped[Any] = mapped_column(Bit(1_200), nullable=True)


class Doubled(Base):
    __tablename__ = "doubled_things"
    id: Mapped[int] = mapped_column(primary_key=True)
    twice: Mapped[int] = mapped_column(Computed("id * 2", persisted=True))
    vector: Mapped[Any] = mapped_column(VECTOR(3), nullable=True)


class Priced(Base):
    __tablename__ = "priced_things"
    id: Mapped[int] = mapped_column(primary_key=True)
    price: Mapped[complex] = mapped_column(Money)
    vector: Mapped[Any] = mapped_column(VECTOR(3), nullable=True)


class Rated(Base):
    """Columns of domains, one of them decorated."""

    __tablename__ = "rated_things"
    id: Mapped[int] = mapped_column(primary_key=True)
    stars: Mapped[int | None] = mapped_column(DOMAIN("stars", Integer, check="VALUE BETWEEN 1 AND 5"))
    score: Mapped[decimal.Decimal | None] = mapped_column(DOMAIN("score", Numeric(6, 2)))
    when: Mapped[dt.date | None] = mapped_column(DOMAIN("day", Date))
    label: Mapped[str | None] = mapped_column(DOMAIN("label", Text))
    vector: Mapped[Any] = mapped_column(Vector(2))


class Plain(Base):
    __tablename__ = "plain_things"
    id: Mapped[int] = mapped_column(primary_key=True)
    real: Mapped[float | None] = mapped_column(REAL)
    flag: Mapped[bool | None]
    day: Mapped[dt.date | None]
    local: Mapped[dt.datetime | None]
    count: Mapped[int | None]
    hour: Mapped[dt.time | None]
    vector: Mapped[Any] = mapped_column(Vector(2), nullable=True)


class Shape(Base):
    __tablename__ = "shapes_of_any_dimension"
    id: Mapped[int] = mapped_column(primary_key=True)
    vector: Mapped[Any] = mapped_column(Vector(), nullable=True)


class Noted(Base):
    """Metadata in JSONB that other databases have as JSON."""

    __tablename__ = "noted"
    id: Mapped[int] = mapped_column(primary_key=True)
    meta: Mapped[Any] = mapped_column("metadata", JSON().with_variant(JSONB(), "postgresql"))
    vector: Mapped[Any] = mapped_column(Vector(2))


@pytest.fixture
def things(session):
    session.execute(text("CREATE EXTENSION hstore"))
    Base.metadata.create_all(session.connection())
    return session


LARGE = decimal.Decimal("1234567890123456789012345.67")

#: By attribute: the value, its Arrow type, and what is in the table.
CASES = {
    "secret": ("open", pa.string(), "open"),
    "turned": ("a%b", pa.string(), "a%b"),
    "shifted": (3, pa.int32(), 3),
    "color": (Color.RED, pa.string(), "r"),
    "colors": ([Color.RED, None], pa.list_(pa.string()), ["RED", None]),
    "days": ([dt.date(2026, 1, 2), None], pa.list_(pa.date32()), [dt.date(2026, 1, 2), None]),
    "serials": ([uuid.UUID(int=7)], pa.list_(pa.string()), [str(uuid.UUID(int=7))]),
    "prices": ([LARGE], pa.list_(pa.decimal128(30, 2)), [LARGE]),
    "ratios": ([0.5, float("inf")], pa.list_(pa.float64()), [0.5, float("inf")]),
    "grid": ([[1, 2], [3, 4]], pa.list_(pa.list_(pa.int32())), [[1, 2], [3, 4]]),
    "pairs": ({"a": "b"}, pa.string(), '"a"=>"b"'),
    "sparse": ([0.5, 0, 2.5, 0], pa.string(), "{1:0.5,3:2.5}/4"),
    "vector": ([1, 2, 3], pa.list_(pa.float32(), 3), [1, 2, 3]),
    "bits": ([True, False] * 600, pa.string(), "10" * 600),
    "half": ([1, 2], pa.list_(pa.float32(), 2), [1, 2]),
}


def comparable(value):
    if hasattr(value, "to_text"):
        return value.to_text()
    return value.to_list() if hasattr(value, "to_list") else value.tolist() if hasattr(value, "tolist") else value


@pytest.mark.parametrize("name", CASES)
def test_a_value_is_the_applications_and_comes_back_as_it_was(things, name):
    value, type_, shown = CASES[name]
    Repository(things, Thing, column="vector").upsert([{"id": 1, name: value}, {"id": 2, name: None}])
    before = comparable(getattr(things.get(Thing, 1), name))
    table = read_table(things, Thing, columns=["id", name]).sort_by("id")
    assert table.schema.field(name).type == type_
    assert table.column(name).to_pylist() == [shown, None]
    assert write_table(things, Thing, table, if_exists="append").updated == 2
    things.expire_all()
    assert comparable(getattr(things.get(Thing, 1), name)) == before


@pytest.mark.parametrize("name", [name for name in CASES if name != "pairs"])
def test_a_select_says_the_same(things, name):
    value, type_, shown = CASES[name]
    Repository(things, Thing, column="vector").upsert([{"id": 1, name: value}, {"id": 2, name: None}])
    table = read_table(things, select(getattr(Thing, name)).order_by(Thing.id))
    assert (table.schema.field(name).type, table.column(name).to_pylist()) == (type_, [shown, None])


def test_bytes_in_an_array_are_text(things):
    Repository(things, Thing, column="vector").upsert([{"id": 1, "blobs": [b"\x00'"]}])
    assert read_table(things, Thing, columns=["blobs"])["blobs"].to_pylist() == [["\\x0027"]]


def test_a_sum_may_be_more_than_what_it_is_of(things):
    Repository(things, Thing, column="vector").upsert([{"id": 2**31 - 1 - at} for at in range(3)])
    assert read_frame(things, select(func.sum(Thing.id).label("sum")))["sum"].tolist() == [3 * (2**31 - 2)]


def test_what_the_server_computes_is_left_to_it(things):
    Repository(things, Doubled).upsert([{"id": 4, "vector": [1, 2, 3]}])
    table = read_table(things, Doubled)
    assert table["twice"].to_pylist() == [8]
    assert write_table(things, Doubled, table, if_exists="replace").inserted == 1
    assert read_table(things, Doubled) == table


def test_several_selects_in_one(things):
    Repository(things, Thing, column="vector").upsert([{"id": 1}, {"id": 2}])
    both = union_all(select(Thing.id), select(Thing.id * 10)).order_by("id")
    assert read_frame(things, both)["id"].tolist() == [1, 2, 10, 20]


def test_what_arrow_cannot_hold_is_named(things):
    Repository(things, Priced).upsert([{"id": 1, "price": complex(5, 0)}])
    with pytest.raises(InvalidRow, match=r"The column 'price' cannot be read as int32: .* Omit it, or select it"):
        read_table(things, Priced)
    assert read_table(things, select(Priced.price))["price"].to_pylist() == ["(5+0j)"]
    things.execute(text("INSERT INTO things_of_types (id, grid) VALUES (9, '{{{1}}}')"))
    with pytest.raises(InvalidRow, match="The column 'grid' cannot be read as list<item: list<item: "):
        read_table(things, Thing, columns=["grid"])


def test_numbers_are_for_a_type_of_ones_own_that_is_text_in_the_database(things):
    """SQLAlchemy 2.0 does not know what values such a type has."""
    write_table(things, Coded, pa.table({"id": [1], "code": [7], "vector": [[1.0, 0.0]]}))
    assert things.scalars(text("SELECT code FROM coded_things")).all() == ["c7"]


def test_vectors_of_pgvectors_own_types_are_checked(things):
    table = pa.table({"id": [1], "vector": np.ones((1, 2)).tolist()})
    with pytest.raises(DimensionMismatch, match=r"'vector'.*3"):
        write_table(things, Thing, table, if_exists="append")


@pytest.mark.parametrize("vectors", [[], [None], [[1, 2], None, [3, 4]], [[1], None, [2, 3, 4]]])
def test_vectors_of_a_column_without_a_dimension(things, vectors):
    Repository(things, Shape).upsert([{"id": at, "vector": vector} for at, vector in enumerate(vectors)])
    assert read_table(things, Shape).sort_by("id")["vector"].to_pylist() == vectors
    table = read_table(things, select(Shape.vector).order_by(Shape.id))
    assert table["vector"].to_pylist() == vectors
    some = read_table(things, Shape, where=[Shape.id != 2])
    assert write_table(things, Shape, some, if_exists="append").inserted == 0


@pytest.mark.parametrize("over", [text("SELECT 1"), 5, Thing.id, Thing.__table__])
def test_what_is_neither_a_model_nor_a_select_is_said(things, over):
    with pytest.raises(ConfigurationError, match="Expected a mapped class, got"):
        read_frame(things, over)
    frame = pd.DataFrame({"id": ["a"], "content": [""]})
    with pytest.raises(ConfigurationError, match="Expected a mapped class, got"):
        write_frame(things, over, frame)


def test_a_domain_is_what_it_is_over(session):
    """A number of a domain came as text, which could not be written back."""
    Base.metadata.create_all(session.connection(), [Rated.__table__])
    rows = [
        {
            "id": 1,
            "stars": 5,
            "score": decimal.Decimal("9.50"),
            "when": dt.date(2024, 2, 29),
            "label": "é",
            "vector": [1, 0],
        },
        {"id": 2, "stars": None, "score": None, "when": None, "label": None, "vector": [0, 1]},
    ]
    Repository(session, Rated).upsert(rows)
    table = read_table(session, Rated)
    types = [pa.int32(), pa.decimal128(6, 2), pa.date32(), pa.string()]
    assert [table.schema.field(name).type for name in ("stars", "score", "when", "label")] == types
    assert table.drop_columns("vector").to_pylist() == [{k: v for k, v in row.items() if k != "vector"} for row in rows]
    selected = read_table(session, select(Rated.id, Rated.stars, Rated.score, Rated.when, Rated.label).order_by("id"))
    assert selected.to_pylist() == table.drop_columns("vector").to_pylist()
    write_table(session, Rated, table, if_exists="replace")
    assert read_table(session, Rated).equals(table)
    with pytest.raises(Exception, match="stars"):
        Repository(session, Rated).upsert([{"id": 3, "stars": 6, "vector": [0, 1]}])


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("days", pa.array(["2024-01-02"])),
        ("grid", pa.array([b"ab"])),
        ("days", pa.array([{"2024-01-02": 1}])),
        ("real", pa.array([1e39])),
        ("flag", pa.array([0.5])),
        ("flag", pa.array([2])),
        ("day", pa.array([5], pa.int32())),
        ("local", pa.array([5])),
        ("count", pa.array([dt.date(2024, 1, 2)])),
        ("took", pa.array([1_001], pa.duration("ns"))),
        ("hour", pa.array([1_001], pa.time64("ns"))),
    ],
    ids=lambda given: str(getattr(given, "type", given)),
)
def test_what_arrow_would_make_something_else_of_is_refused(things, name, values):
    with pytest.raises(InvalidRow, match=f"column '{name}'"):
        write_table(things, Plain if name in Plain.__table__.c else Thing, pa.table({"id": [1], name: values}))


def test_numbers_that_are_true_or_false(things):
    write_table(things, Plain, pa.table({"id": [1, 2, 3, 4], "flag": [1.0, 0.0, None, 1.0]}))
    assert read_table(things, Plain).sort_by("id")["flag"].to_pylist() == [True, False, None, True]


def test_nanoseconds_that_are_whole_microseconds(things):
    took, hour = pa.array([1_000, None], pa.duration("ns")), pa.array([1_000, None], pa.time64("ns"))
    write_table(things, Thing, pa.table({"id": [1, 2], "took": took}))
    write_table(things, Plain, pa.table({"id": [1, 2], "hour": hour}))
    assert things.scalars(select(Thing.took).order_by(Thing.id)).all() == [dt.timedelta(microseconds=1), None]
    assert things.scalars(select(Plain.hour).order_by(Plain.id)).all() == [dt.time(0, 0, 0, 1), None]


def test_metadata_of_a_variant_are_columns(session):
    """They came as one column of text, and could not be written from columns."""
    Base.metadata.create_all(session.connection(), [Noted.__table__])
    frame = pd.DataFrame({"id": [1, 2], "lang": ["en", "de"], "year": [2020, 2021], "vector": [[1, 0], [0, 1]]})
    write_frame(session, Noted, frame)
    assert session.scalars(select(Noted.meta).order_by(Noted.id)).all() == [
        {"lang": "en", "year": 2020},
        {"lang": "de", "year": 2021},
    ]
    read = read_table(session, Noted, columns=["id", "metadata"])
    assert read.schema.names == ["id", "lang", "year"]
    assert sorted(read.to_pylist(), key=lambda row: row["id"])[1] == {"id": 2, "lang": "de", "year": 2021}
