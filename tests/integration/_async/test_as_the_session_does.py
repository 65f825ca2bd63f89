"""What `upsert` stores of a value is what `session.add` stores of it, by each type of SQLAlchemy's."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest
from sqlalchemy import (
    BigInteger,
    Date,
    DateTime,
    Double,
    Integer,
    Interval,
    LargeBinary,
    String,
    Text,
    TypeDecorator,
    Uuid,
    cast,
    func,
    literal_column,
    null,
    select,
    text,
    types,
)
from sqlalchemy.dialects.postgresql import ARRAY, BIT, DATERANGE, DOMAIN, JSON, JSONB, REAL, Range
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, mapped_column

from rowspace import AsyncMatrixRepository, AsyncRepository, AsyncTableRepository, SparseVector, Vector
from rowspace.errors import ConfigurationError


class Base(DeclarativeBase):
    pass


class Known(TypeDecorator):
    """Text that has a word for None."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return "none" if value is None else value

    def process_result_value(self, value, dialect):
        return None if value == "none" else value


class Turned(TypeDecorator):
    """Text that the server turns around on its way in."""

    impl = Text
    cache_ok = True

    def bind_expression(self, bindvalue):
        return func.concat(literal_column("'%'"), func.reverse(bindvalue))


class Doubled(TypeDecorator):
    impl = Integer
    cache_ok = True

    def bind_expression(self, bindvalue):
        return bindvalue * literal_column("2")


class Digest(TypeDecorator):
    """Bytes, of which the server has a function for text too."""

    impl = LargeBinary
    cache_ok = True

    def bind_expression(self, bindvalue):
        return cast(func.md5(bindvalue), LargeBinary)


class Absolute(TypeDecorator):
    impl = Double
    cache_ok = True

    def bind_expression(self, bindvalue):
        return func.abs(bindvalue)


class Local(TypeDecorator):
    impl = DateTime
    cache_ok = True


class Minute(TypeDecorator):
    impl = DateTime
    cache_ok = True

    def bind_expression(self, bindvalue):
        return func.date_trunc(literal_column("'minute'"), cast(bindvalue, DateTime))


class Sealed(TypeDecorator):
    """Text under a key that is a parameter of each statement."""

    impl = Text
    cache_ok = True

    def bind_expression(self, bindvalue):
        return func.concat(bindvalue, "secret")

    def column_expression(self, column):
        return func.replace(column, "secret", "")


COLUMNS = {
    "variant_json": types.JSON().with_variant(JSONB(), "postgresql"),
    "variant_big": Integer().with_variant(BigInteger(), "postgresql"),
    "variant_small": Double().with_variant(REAL(), "postgresql"),
    "variant_text": Uuid().with_variant(String(36), "postgresql"),
    "variant_of_another": BigInteger().with_variant(Integer(), "sqlite"),
    "uuid_as_text": Uuid(native_uuid=False),
    "jsonb": JSONB(),
    "json": JSON(),
    "json_or_null": JSONB(none_as_null=True),
    "known": Known(),
    "turned": Turned(),
    "doubled": Doubled(),
    "digest": Digest(),
    "absolute": Absolute(),
    "of_domain": DOMAIN("short_text", String(3)),
    "bits_of_domain": DOMAIN("two_bits", BIT(2)),
    "local": DateTime(),
    "times": ARRAY(DateTime()),
    "local_decorated": Local(),
    "local_minute": Minute(),
    "day": Date(),
    "days": ARRAY(Date),
    "period": DATERANGE(),
    "moment": DateTime(timezone=True),
    "span": Interval(),
    "sparse": SparseVector(4),
}


class Value(Base):
    __tablename__ = "values_of_types"
    id = mapped_column(Integer, primary_key=True)
    embedding = mapped_column(Vector(1), nullable=True)
    changed = mapped_column(DateTime(), onupdate=lambda: NOON)
    until = mapped_column(Date, default=dt.date.max, onupdate=dt.date.min)
    by_default = mapped_column(Turned, default="abc")


for name, type_ in COLUMNS.items():
    setattr(Value, name, mapped_column(type_, nullable=True))


class Locked(Base):
    __tablename__ = "values_under_a_key"
    id = mapped_column(Integer, primary_key=True)
    embedding = mapped_column(Vector(1))
    sealed = mapped_column(Sealed, nullable=True)


class ById(Base):
    """A key that is of another type here than its name says."""

    __tablename__ = "values_by_variants"
    id = mapped_column(Uuid().with_variant(String(36), "postgresql"), primary_key=True)
    other = mapped_column(Uuid(native_uuid=False), primary_key=True)
    # As models have it that are tested on SQLite.
    uuid = mapped_column(String(36).with_variant(Uuid(), "postgresql"), primary_key=True)
    text = mapped_column(String(36).with_variant(Uuid(as_uuid=False), "postgresql"), primary_key=True)
    number = mapped_column(Integer().with_variant(BigInteger(), "postgresql"), primary_key=True)
    embedding = mapped_column(Vector(1))


NOON = dt.datetime(2024, 7, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30)))
ENDS = [end.replace(tzinfo=dt.UTC) for end in (dt.datetime.min, dt.datetime.max)]  # noqa: DTZ901
SAME = [
    *(("variant_json", value) for value in ({"a": 1}, None, [None])),
    ("variant_big", 2**40),
    ("variant_small", 0.5),
    ("variant_of_another", 2**40),
    ("variant_text", str(uuid.UUID(int=7))),
    ("uuid_as_text", uuid.UUID(int=7)),
    *((name, value) for name in ("jsonb", "json", "json_or_null") for value in (None, JSON.NULL, null(), {"a": 1})),
    ("known", None),
    ("known", "x"),
    ("turned", "a%b"),
    ("doubled", 4),
    ("digest", b"a\\b"),
    ("absolute", -0.5),
    ("of_domain", "abc"),
    # One that the clocks leave out, and of those with a zone one that is the day before.
    ("local", dt.datetime(2024, 3, 31, 2, 30)),  # noqa: DTZ001
    *((name, NOON) for name in ("local", "local_decorated", "local_minute")),
    ("local", NOON.replace(hour=1, microsecond=5)),
    ("times", [dt.datetime(2024, 3, 31, 2, 30), None]),  # noqa: DTZ001
    # To asyncpg they are infinite.
    *(("local", end.replace(tzinfo=None)) for end in ENDS),
    *(("moment", end) for end in ENDS),
    *(("day", value) for value in (dt.date.min, dt.date.max, dt.date(9999, 12, 30))),
    ("days", [dt.date.max, dt.date.min]),
    ("period", Range(dt.date(2024, 7, 1), dt.date.max)),
    ("span", dt.timedelta(days=-3, seconds=5)),
    ("span", dt.timedelta(seconds=-5)),
]


@pytest.fixture(scope="module", autouse=True)
def tables(create_tables):
    create_tables(Base.metadata)


async def stored(session, name, id_):
    values = text(f'SELECT "{name}"::text, "{name}" IS NULL FROM values_of_types WHERE id = {id_}')
    return (await session.execute(values)).one()


@pytest.mark.parametrize(("name", "value"), SAME, ids=str)
async def test_a_value_is_stored_as_the_session_stores_it(session, driver, name, value):
    if driver == "asyncpg" and name.startswith("local") and value.tzinfo:
        # Which takes none with a zone: here it is as with the others.
        expected = (str(value.astimezone(dt.UTC).replace(tzinfo=None) + dt.timedelta(hours=2)), False)
    else:
        expected = None
    await session.execute(text("SET LOCAL TimeZone = 'Europe/Berlin'"))
    await AsyncRepository(session, Value, column="embedding").upsert([{"id": 1, name: value}])
    if expected is None:
        session.add(Value(id=2, **{name: value}))
        await session.flush()
        expected = await stored(session, name, 2)
    assert await stored(session, name, 1) == expected


@pytest.mark.parametrize("rows", [1, 200])
async def test_what_a_type_makes_of_a_value_in_sql_is_stored(session, rows):
    """A value that the server was to encrypt was stored as it came."""
    repository = AsyncRepository(session, Value, column="embedding")
    for value in ("abc", "xyz"):
        await repository.upsert({"id": at, "turned": value} for at in range(rows))
        assert await stored(session, "turned", rows - 1) == (f"%{value[::-1]}", False)
    assert await stored(session, "by_default", rows - 1) == ("%cba", False)


async def test_a_key_of_a_type_is_not_written_into_a_statement(session, sent):
    with pytest.raises(ConfigurationError, match=r"values_under_a_key\.sealed .* write such rows with add_all\(\)"):
        await AsyncRepository(session, Locked).upsert([{"id": 1, "embedding": [1], "sealed": "abc"}])
    await AsyncRepository(session, Locked).upsert([{"id": 1, "embedding": [1]}])
    with pytest.raises(ConfigurationError, match=r"values_under_a_key\.sealed .* read such a column by a select\(\)"):
        async with AsyncTableRepository(session, Locked).stream(["id", "sealed"]):
            pass
    assert "secret" not in str(sent)


@pytest.mark.parametrize(("name", "value"), [("of_domain", "abcd"), ("bits_of_domain", "101")])
async def test_a_domain_cuts_nothing(session, name, value):
    with pytest.raises(DBAPIError, match=r"too long for type|does not match type"):
        await AsyncRepository(session, Value, column="embedding").upsert([{"id": 1, name: value}])


async def test_an_interval_is_the_same_whatever_the_session_writes_of_one(session):
    await session.execute(text("SET LOCAL IntervalStyle = 'sql_standard'"))
    spans = [dt.timedelta(days=-3, seconds=5), dt.timedelta(seconds=-5), dt.timedelta(days=2, seconds=-7)]
    repository = AsyncRepository(session, Value, column="embedding")
    await repository.upsert({"id": at, "span": span} for at, span in enumerate(spans))
    seconds = await session.execute(text("SELECT extract(epoch FROM span)::float FROM values_of_types ORDER BY id"))
    assert [*seconds.scalars()] == [span.total_seconds() for span in spans]


async def test_a_number_that_is_none_in_float32_is_left_out(session):
    await AsyncRepository(session, Value, column="embedding").upsert([{"id": 1, "sparse": {0: 1e-50, 2: 3.0}}])
    assert await stored(session, "sparse", 1) == ("{3:3}/4", False)


async def test_a_time_that_an_update_sets_is_a_moment(session):
    await session.execute(text("SET LOCAL TimeZone = 'Europe/Berlin'"))
    for _ in range(2):
        await AsyncRepository(session, Value, column="embedding").upsert([{"id": 1, "variant_big": 1}])
    assert await session.scalar(select(Value.changed)) == dt.datetime(2024, 7, 1, 8, 30)  # noqa: DTZ001


@pytest.mark.parametrize("rows", [1, 200])
async def test_the_zones_of_the_times_in_an_array_count_as_that_of_one_time(session, rows):
    """Cast to an array of times without time zone, they were left out."""
    await session.execute(text("SET LOCAL TimeZone = 'Europe/Berlin'"))
    early = NOON.replace(hour=1, microsecond=5)
    written = ({"id": at, "times": [[NOON, None], [early, NOON]]} for at in range(rows))
    await AsyncRepository(session, Value, column="embedding").upsert(written)
    expected = '{{"2024-07-01 08:30:00",NULL},{"2024-06-30 21:30:00.000005","2024-07-01 08:30:00"}}'
    assert await stored(session, "times", rows - 1) == (expected, False)


async def test_a_date_without_end_is_found_by_what_it_was_set_to(session):
    repository = AsyncRepository(session, Value, column="embedding")
    for until in (dt.date.max, dt.date.min):
        await repository.upsert([{"id": 1, "variant_big": 1}])
        assert await repository.count(Value.until == until) == 1


async def test_keys_of_a_variant_are_read_and_taken(session):
    text_of, seven = str(uuid.UUID(int=1)), uuid.UUID(int=7)
    row = {"id": text_of, "other": uuid.UUID(int=2), "uuid": seven, "text": str(seven), "number": 2**40}
    repository = AsyncRepository(session, ById)
    await repository.upsert([{**row, "embedding": [1]}])
    found = await AsyncMatrixRepository(session, ById).read()
    assert found.keys == [tuple(row.values())]
    assert await repository.get(found.keys[0]) is not None
    assert await AsyncMatrixRepository(session, ById).update(found.keys, [[2]]) == 1
    assert await repository.delete(found.keys) == 1
