"""Values from what PostgreSQL writes for them."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import CHAR, Boolean, Date, DateTime, Enum, Float, Integer, Interval, Numeric, Time, TypeDecorator, Uuid
from sqlalchemy.dialects.postgresql import BYTEA, CITEXT, DATERANGE, INET, INT4MULTIRANGE, JSONB, MultiRange, Range

from rowspace.errors import InvalidRow
from rowspace.wire.texts import value_reader


class Color(enum.Enum):
    RED = "r"


class Shifted(TypeDecorator[int]):
    impl = Integer
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Any) -> int:
        return value - 1_000


class AnyUuid(TypeDecorator[uuid.UUID]):
    """As SQLAlchemy's manual has it for several databases."""

    impl = CHAR
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        return dialect.type_descriptor(Uuid() if dialect.name == "postgresql" else CHAR(32))


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        (Boolean(), "true", True),
        (Boolean(), "false", False),
        (Integer(), "-3", -3),
        (Float(), "0.5", 0.5),
        (Numeric(8, 2), "1.50", Decimal("1.50")),
        (Numeric(8, 2, asdecimal=False), "1.50", 1.5),
        (Date(), "2026-01-02", dt.date(2026, 1, 2)),
        (Time(), "01:02:03.5", dt.time(1, 2, 3, 500_000)),
        (DateTime(), "2026-01-02 03:04:05", dt.datetime.fromisoformat("2026-01-02T03:04:05")),
        (DateTime(timezone=True), "2026-01-02 03:00:00+03", dt.datetime(2026, 1, 2, tzinfo=dt.UTC)),
        (Uuid(), str(uuid.UUID(int=7)), uuid.UUID(int=7)),
        (Uuid(as_uuid=False), str(uuid.UUID(int=7)), str(uuid.UUID(int=7))),
        (AnyUuid(), str(uuid.UUID(int=7)), uuid.UUID(int=7)),
        (Enum(Color), "RED", Color.RED),
        (Shifted(), "1003", 3),
        (JSONB(), '{"a": [1]}', {"a": [1]}),
        (BYTEA(), "\\x00ff", b"\x00\xff"),
        (CITEXT(), "Ä", "Ä"),
        (INET(), "10.0.0.1/32", "10.0.0.1/32"),
        (Interval(), "1 day", "1 day"),
        (DATERANGE(), "(,2026-01-02)", Range(None, dt.date(2026, 1, 2), bounds="()")),
        (INT4MULTIRANGE(), "{[1,3),[5,7)}", MultiRange([Range(1, 3), Range(5, 7)])),
    ],
)
def test_a_value_is_the_one_that_sqlalchemy_gives(type_, text, value):
    read = value_reader(type_)(text)
    assert (read, type(read)) == (value, type(value))


def test_what_python_has_no_value_for_is_said():
    with pytest.raises(InvalidRow, match=r"'infinity' cannot be read as Date\(\)"):
        value_reader(Date())("infinity")
    with pytest.raises(InvalidRow, match=r"'\[infinity,\)' cannot be read as DATERANGE\(\)"):
        value_reader(DATERANGE())("[infinity,)")
