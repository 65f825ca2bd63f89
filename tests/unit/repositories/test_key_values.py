from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Enum,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    TypeDecorator,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, CITEXT, INET, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import Vector
from rowspace.errors import ConfigurationError, InvalidText
from rowspace.repositories.key_values import key_value
from rowspace.repositories.subjects import subject_of

SEVEN = uuid.UUID(int=7)
NOON = dt.datetime.fromisoformat("2026-01-02T12:00:00+00:00")


class Color(enum.Enum):
    RED = "r"


class Anything(TypeDecorator[Any]):
    impl = Integer
    cache_ok = True


class Base(DeclarativeBase):
    pass


class One(Base):
    __tablename__ = "one"
    id: Mapped[int] = mapped_column(primary_key=True)
    embedding: Mapped[object] = mapped_column(Vector(2))


class Two(Base):
    __tablename__ = "two"
    tenant: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column("n", primary_key=True)
    embedding: Mapped[object] = mapped_column(Vector(2))


def of(type_: Any) -> Any:
    return Table("notes", MetaData(), Column("id", type_, primary_key=True)).c.id


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        (Integer(), [1, -(2**31), 2**31 - 1, 1.0, None]),
        (SmallInteger(), [2**15 - 1]),
        (BigInteger(), [2**63 - 1]),
        (Numeric(8, 2), [Decimal("1.5"), 1.5, 1]),
        (String(), ["a", ""]),
        (CITEXT(), ["a"]),
        (Uuid(), [SEVEN]),
        (Uuid(as_uuid=False), [str(SEVEN)]),
        (Date(), [NOON.date()]),
        (DateTime(timezone=True), [NOON]),
        (Boolean(), [True]),
        (LargeBinary(), [b"a"]),
        (Enum(Color), [Color.RED]),
        (Enum("red", "blue", name="color"), ["red"]),
        (Anything(), [1, "text"]),
        (INET(), ["127.0.0.1", 5]),
    ],
    ids=repr,
)
def test_what_rows_have_is_taken_as_it_is(type_: Any, values: list[Any]) -> None:
    assert [key_value(of(type_), value) for value in values] == values


def test_a_uuid_may_be_its_text_and_the_other_way_round() -> None:
    assert key_value(of(Uuid()), str(SEVEN).upper()) == SEVEN
    assert key_value(of(Uuid(as_uuid=False)), SEVEN) == str(SEVEN)


@pytest.mark.parametrize("type_", [REAL(), Float(24)])
def test_a_number_of_32_bits_is_the_one_that_the_row_has(type_: Any) -> None:
    assert key_value(of(type_), 0.1) == 0.10000000149011612
    assert key_value(of(type_), Decimal("0.1")) == 0.10000000149011612
    assert key_value(of(type_), 0.5) == 0.5
    # None has it, and not the infinite one.
    assert key_value(of(type_), 1e300) == 1e300
    assert key_value(of(Double()), 0.1) == 0.1


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (Integer(), "abc"),
        (Integer(), "1"),
        (Integer(), True),
        (Integer(), 2**31),
        (Integer(), float("nan")),
        (SmallInteger(), 2**15),
        (BigInteger(), -(2**63) - 1),
        (Numeric(8, 2), "1.5"),
        (Date(), "2026-01-02"),
        (DateTime(), NOON.date()),
        (Boolean(), 1),
        (LargeBinary(), "a"),
        (Enum(Color), "RED"),
        (Enum("red", "blue", name="color"), "green"),
        (Enum("red", "blue", name="color"), ["red"]),
        (JSONB(), {"a": 1}),
        (ARRAY(Integer), [1]),
    ],
)
def test_what_no_row_has_is_refused(type_: Any, value: Any) -> None:
    with pytest.raises(ConfigurationError) as refused:
        key_value(of(type_), value)
    kind = type(value).__name__
    assert (
        str(refused.value)
        == f"notes.id must be {type_!r}, got {value!r} of type {kind}. Pass the key as it is in a row."
    )


@pytest.mark.parametrize("value", [5, b"a", "a\0", "\ud800"])
def test_what_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(InvalidText, match=r"^notes\.id must be text without NUL bytes and lone surrogates, got "):
        key_value(of(String()), value)


@pytest.mark.parametrize("value", ["x", 7, b"a"])
def test_what_is_no_uuid_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^notes\.id must be a UUID, got "):
        key_value(of(Uuid()), value)


def test_keys_are_tuples() -> None:
    assert subject_of(One).key(5) == (5,)
    assert subject_of(One).key((np.int64(5),)) == (5,)
    assert subject_of(Two).key(["a", 5]) == ("a", 5)


@pytest.mark.parametrize(("model", "key"), [(One, (1, 2)), (Two, "a"), (Two, ("a",)), (One, ())])
def test_a_key_of_another_length_is_refused(model: type[Any], key: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"The key of {model.__name__} is \((id|tenant, number)\), got "):
        subject_of(model).key(key)
