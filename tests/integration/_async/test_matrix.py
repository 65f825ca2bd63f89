from __future__ import annotations

import enum
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    CHAR,
    Date,
    DateTime,
    Integer,
    Interval,
    Numeric,
    TypeDecorator,
    Uuid,
    bindparam,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import INT4RANGE, INTERVAL, Range
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import CreateTable

from rowspace import (
    AsyncAnalysisRepository,
    AsyncCollectionRepository,
    AsyncDatabase,
    AsyncDocumentRepository,
    AsyncMatrixRepository,
    AsyncRepository,
    AsyncSearchRepository,
    Bit,
    HalfVector,
    Vector,
)
from rowspace.errors import (
    CollectionNotFound,
    ConfigurationError,
    DimensionMismatch,
    InvalidRow,
    InvalidVector,
    sqlstate_of,
)

ROWS, DIMENSION = 3_000, 24
VECTORS = np.random.default_rng(7).normal(size=(ROWS, DIMENSION)).astype(np.float32)


class Base(DeclarativeBase):
    pass


class Reading(Base):
    __tablename__ = "readings"

    station: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    signal: Mapped[np.ndarray | None] = mapped_column(Vector(DIMENSION))


@pytest.fixture
async def database(new_database, driver):
    url = new_database().replace("+psycopg", f"+{driver}")
    async with AsyncDatabase.open(url) as opened:
        yield opened


@pytest.fixture
async def collection(database):
    async with database.begin() as session:
        made = await AsyncCollectionRepository(session).create("matrix", DIMENSION)
        rows = (
            {"id": f"r{i}", "content": "x", "meta": {"even": i % 2 == 0}, "embedding": VECTORS[i]} for i in range(ROWS)
        )
        await AsyncDocumentRepository(session, made).upsert(rows)
    return made


def order(keys):
    return [int(key[1:]) for key in keys]


async def test_a_collection_is_read_whole_and_by_filter(database, collection):
    async with database.begin() as session:
        repository = AsyncMatrixRepository(session, collection)
        everything = await repository.read()
        assert sorted(order(everything.keys)) == list(range(ROWS))
        assert np.array_equal(everything.vectors, VECTORS[order(everything.keys)])
        assert everything.vectors.flags.c_contiguous
        even = await repository.read({"even": True})
        assert sorted(order(even.keys)) == list(range(0, ROWS, 2))
        assert np.array_equal(even.vectors, VECTORS[order(even.keys)])
        assert (await repository.read({"even": "no"})).vectors.shape == (0, DIMENSION)


async def test_a_reader_that_stops_early_leaves_the_transaction_usable(database, collection):
    async with database.begin() as session:
        await session.execute(text("CREATE TABLE witness ()"))
        async with AsyncMatrixRepository(session, collection).stream({"even": True}) as parts:
            first = await anext(parts)
            assert len(first.keys) == len(first.vectors)
        assert await session.scalar(text("SELECT count(*) FROM witness")) == 0


async def test_an_update_of_nothing_is_none(database, collection):
    async with database.begin() as session:
        assert await AsyncMatrixRepository(session, collection).update([], []) == 0


async def test_a_collection_that_was_replaced_is_said_to_be_gone(database, collection):
    async with database.begin() as session:
        collections = AsyncCollectionRepository(session)
        old = await collections.create("replaced", DIMENSION)
        session.expunge(old)
        await collections.drop("replaced")
        await collections.create("replaced", DIMENSION)
    async with database.session() as session:
        with pytest.raises(CollectionNotFound, match="dropped or replaced after"):
            await AsyncMatrixRepository(session, old).read()


async def test_update_writes_only_the_rows_that_are_there(database, collection):
    new = np.ones((3, DIMENSION))
    async with database.begin() as session:
        repository = AsyncMatrixRepository(session, collection)
        assert await repository.update(["r1", "r2", "nobody"], new) == 2
        read = await repository.read()
        changed = {key for key, vector in zip(read.keys, read.vectors, strict=True) if (vector == 1).all()}
        assert changed == {"r1", "r2"}
        assert await session.scalar(text("SELECT count(*) FROM documents WHERE updated_at > created_at")) == 2


@pytest.mark.parametrize(
    ("keys", "vectors", "error", "message"),
    [
        (["r1"], np.ones((2, DIMENSION)), InvalidVector, "2 vectors for 1 keys"),
        (["r1"], np.ones((1, 5)), DimensionMismatch, "Expected 24 dimensions, got 5"),
        (["r1"], np.full((1, DIMENSION), np.nan), InvalidVector, "NaN, which is at row 0, index 0"),
    ],
)
async def test_update_refuses_other_shapes_before_it_writes(database, collection, keys, vectors, error, message):
    async with database.begin() as session:
        repository = AsyncMatrixRepository(session, collection)
        with pytest.raises(error, match=message):
            await repository.update(keys, vectors)
        read = await repository.read()
        assert np.array_equal(read.vectors, VECTORS[order(read.keys)])


async def test_a_model_with_a_composite_key_of_any_types(database):
    days = [date(2026, 1, day) for day in range(1, 11)]
    async with database.begin() as session:
        await session.execute(CreateTable(Reading.__table__))
        session.add_all(Reading(station=1, day=day, signal=VECTORS[i]) for i, day in enumerate(days))
        repository = AsyncMatrixRepository(session, Reading)
        late = await repository.read([Reading.day > days[6]])
        assert sorted(late.keys) == [(1, day) for day in days[7:]]
        assert await repository.update([(1, days[0])], [np.zeros(DIMENSION)]) == 1


async def test_rows_without_a_vector_are_left_out(database):
    days = [date(2026, 2, day) for day in range(1, 6)]
    async with database.begin() as session:
        await session.execute(CreateTable(Reading.__table__, if_not_exists=True))
        signals = [None if place % 2 else VECTORS[place] for place in range(5)]
        session.add_all(Reading(station=9, day=day, signal=one) for day, one in zip(days, signals, strict=True))
        await session.flush()
        repository, there = AsyncMatrixRepository(session, Reading), [(9, day) for day in days[::2]]
        assert sorted((await repository.read([Reading.station == 9])).keys) == there
        assert {(9, day) for day in days} & {*(await repository.read()).keys} == {*there}
        async with repository.stream() as parts:
            assert {(9, day) for day in days} & {key async for part in parts for key in part.keys} == {*there}
        assert len((await AsyncAnalysisRepository(session, Reading).projection()).keys) >= 3


class Own(DeclarativeBase):
    pass


class Color(enum.Enum):
    RED = "r"


class Shifted(TypeDecorator[int]):
    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> int:
        return value + 1_000

    def process_result_value(self, value: Any, dialect: Any) -> int:
        return value - 1_000


class Sample(Own):
    __tablename__ = "samples"

    color: Mapped[Color] = mapped_column("the color", primary_key=True)
    ripe: Mapped[bool] = mapped_column(primary_key=True)
    size: Mapped[Decimal] = mapped_column(Numeric(8, 2), primary_key=True)
    number: Mapped[int] = mapped_column(Shifted, primary_key=True)
    serial: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    signal: Mapped[np.ndarray] = mapped_column(Vector(2))


async def test_keys_are_those_that_entities_have(database):
    elsewhere = AsyncDatabase(database.engine, schema="Else where")
    key = (Color.RED, True, Decimal("1.50"), 3, "00000000-0000-0000-0000-000000000007")
    async with elsewhere.begin() as session:
        await session.execute(text('CREATE SCHEMA "Else where"'))
        await session.execute(text("""CREATE TYPE "Else where".color AS ENUM ('RED')"""))
        await session.execute(CreateTable(Sample.__table__))
        names = ("color", "ripe", "size", "number", "serial")
        session.add(Sample(**dict(zip(names, key, strict=True)), signal=[1, 2]))
        repository = AsyncMatrixRepository(session, Sample)
        for where in ((), [Sample.ripe]):
            keys = (await repository.read(where)).keys
            assert keys == [key]
            assert [*map(type, keys[0])] == [*map(type, key)]
        assert await repository.update(keys, [[3, 4]]) == 1


class Period(Own):
    __tablename__ = "periods"

    day: Mapped[date] = mapped_column(primary_key=True)
    local: Mapped[datetime] = mapped_column(DateTime(), primary_key=True)
    moment: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    span: Mapped[timedelta] = mapped_column(primary_key=True)
    months: Mapped[timedelta] = mapped_column(INTERVAL, primary_key=True)
    numbers: Mapped[Range[int]] = mapped_column(INT4RANGE, primary_key=True)
    digest: Mapped[bytes] = mapped_column(primary_key=True)
    signal: Mapped[np.ndarray] = mapped_column(Vector(2))


PERIODS = [
    (date.max, datetime.max, datetime(2026, 1, 2, tzinfo=UTC), timedelta(-1, 5)),  # noqa: DTZ901
    (date.min, datetime.min, datetime(1, 1, 2, tzinfo=UTC), timedelta(40, microseconds=1)),  # noqa: DTZ901
    (date(1999, 12, 31), datetime(1999, 12, 31, 23, 59, 59, 1), datetime(2026, 7, 2, tzinfo=UTC), timedelta()),  # noqa: DTZ001
]


async def test_keys_of_times_are_those_that_entities_have(database):
    async with database.begin() as session:
        await session.execute(CreateTable(Period.__table__))
        rest = r"interval '-14 months 3 days', int4range '[1,3]', bytea '\x5c00ff', '[1, 2]'"
        insert = text(f"INSERT INTO periods VALUES (:day, :local, :moment, :span, {rest})")
        types = {"day": Date, "local": DateTime(), "moment": DateTime(timezone=True), "span": Interval}
        for period in PERIODS:
            given = zip(types.items(), period, strict=True)
            await session.execute(insert.bindparams(*(bindparam(name, value, type_) for (name, type_), value in given)))
        keys = inspect(Period).primary_key_from_instance
        entities = [tuple(keys(entity)) for entity in await session.scalars(select(Period))]
        # Only now: psycopg's own rows have no interval of such a style.
        await session.execute(text("SET LOCAL DateStyle = 'German'"))
        await session.execute(text("SET LOCAL IntervalStyle = 'sql_standard'"))
        await session.execute(text("SET LOCAL bytea_output = 'escape'"))
        repository = AsyncMatrixRepository(session, Period)
        for where in ((), [Period.signal.is_not(None)]):
            assert sorted((await repository.read(where)).keys, key=str) == sorted(entities, key=str)


async def test_a_key_without_end_is_refused_where_the_driver_has_no_word_for_it(database, driver):
    async with database.begin() as session:
        await session.execute(CreateTable(Reading.__table__))
        vector = "[" + ",".join(["1"] * DIMENSION) + "]"
        await session.execute(text(f"INSERT INTO readings VALUES (1, '-infinity', '{vector}')"))
        repository = AsyncMatrixRepository(session, Reading)
        if driver == "asyncpg":
            assert (await repository.read()).keys == [(1, date.min)]
        else:
            with pytest.raises(InvalidRow, match="a date or time that is infinite, or outside the range of Python"):
                await repository.read()


class Small(DeclarativeBase):
    pass


class Sketch(Small):
    """Half the bytes a number, by our type and by pgvector's; and bits, of which there is no matrix."""

    __tablename__ = "sketches"

    id: Mapped[int] = mapped_column(primary_key=True)
    half: Mapped[np.ndarray] = mapped_column(HalfVector(3))
    theirs: Mapped[Any] = mapped_column(HALFVEC(3))
    bits: Mapped[np.ndarray] = mapped_column(Bit(3))


#: The largest, the smallest and some others that float16 holds.
HALVES = np.array([[65504, -65504, 2**-24], [1.0009765625, -0.0, 1 / 3], [0, 1, 2]], np.float16)


@pytest.mark.parametrize("column", ["half", "theirs"])
async def test_a_matrix_of_halves_is_exact_in_float32(database, column):
    async with database.begin() as session:
        await session.execute(CreateTable(Sketch.__table__))
        rows = [{"id": n, "half": v, "theirs": v, "bits": [1, 0, 1]} for n, v in enumerate(HALVES)]
        await AsyncRepository(session, Sketch, column="half").upsert(rows)
        repository = AsyncMatrixRepository(session, Sketch, column=column)
        matrix = await repository.read()
        assert matrix.vectors.dtype == np.float32
        np.testing.assert_array_equal(matrix.vectors, HALVES[matrix.keys].astype(np.float32))
        assert (await repository.read([Sketch.id == 2])).vectors.tolist() == [[0, 1, 2]]
        async with repository.stream() as parts:
            assert [len(part) async for part in parts] == [3]
        assert await repository.update(matrix.keys, matrix.vectors * np.float32(0.5)) == 3
        halved = await repository.read()
        np.testing.assert_array_equal(halved.vectors, (HALVES[halved.keys] / 2).astype(np.float16))
        with pytest.raises(InvalidVector, match=r"65,?504"):
            await repository.update([0], [[70_000.0, 0, 0]])
        with pytest.raises(
            ConfigurationError, match=r"Expected a Vector or HalfVector column with a dimension .*, got Bit\(3\)"
        ):
            await AsyncMatrixRepository(session, Sketch, column="bits").read()


class Coded(Small):
    __tablename__ = "coded"
    code: Mapped[str] = mapped_column(CHAR(5), primary_key=True)
    vector: Mapped[np.ndarray] = mapped_column(Vector(1))


async def test_spaces_at_the_end_of_a_key_do_not_count_where_they_do_not_for_the_server(database):
    async with database.begin() as session:
        await session.execute(CreateTable(Coded.__table__))
        await AsyncRepository(session, Coded).upsert({"code": code, "vector": [1]} for code in ("ab", "abcde"))
        repository = AsyncMatrixRepository(session, Coded)
        assert sorted((await repository.read()).keys) == ["ab   ", "abcde"]
        assert [await repository.update([code], [[2]]) for code in ("ab   ", "ab", "abcde")] == [1, 1, 1]


class Broken(DeclarativeBase):
    pass


class Quotient(Broken):
    """A view that cannot be read: what is wrong shows in the COPY."""

    __tablename__ = "quotients"

    id: Mapped[int] = mapped_column(primary_key=True)
    vector: Mapped[np.ndarray] = mapped_column(Vector(2))


async def test_an_error_in_a_copy_is_one_of_sqlalchemys_as_in_any_statement(database):
    rows = "SELECT id, (ARRAY[1, 1 / (id - 1)])::vector(2) AS vector FROM generate_series(1, 2) id"
    async with database.sessions() as session:
        await session.execute(text(f"CREATE VIEW quotients AS {rows}"))
        with pytest.raises(DBAPIError, match="division by zero") as raised:
            await AsyncMatrixRepository(session, Quotient).read()
        assert sqlstate_of(raised.value.orig) == "22012"
        assert "COPY" in str(raised.value)
        # The transaction goes on, as after any read that breaks off.
        assert (await AsyncMatrixRepository(session, Quotient).read([Quotient.id == 2])).keys == [2]


async def test_an_error_in_a_load_by_copy_is_one_of_sqlalchemys_too(database, collection):
    async with database.sessions() as session:
        found = await session.merge(collection)
        await session.execute(text("SET LOCAL statement_timeout = '300ms'"))

        async def rows():
            yield {"id": "a", "content": "a", "embedding": VECTORS[0]}
            # Whoever waits for it finds the table locked: there is somebody else.
            await other.execute(text(f"LOCK TABLE {found.partition} IN ACCESS EXCLUSIVE MODE"))

        async with database.sessions() as other:
            with pytest.raises(DBAPIError, match="canceling statement due to statement timeout") as raised:
                await AsyncDocumentRepository(session, found).upsert(rows(), fresh=True)
        assert sqlstate_of(raised.value.orig) == "57014"


class Compared(str):
    """A key that counts how often it is compared."""

    __slots__ = ()
    __hash__ = str.__hash__
    times = 0

    def __eq__(self, other):
        Compared.times += 1
        return str.__eq__(self, other)


async def test_a_key_that_comes_twice_is_found_without_comparing_each_with_all(database, collection):
    keys = [Compared(n) for n in [*range(500), 499]]
    async with database.begin() as session:
        with pytest.raises(InvalidRow, match="Expected each key once, got '499' several times"):
            await AsyncMatrixRepository(session, collection).update(keys, np.zeros((501, len(VECTORS[0]))))
    assert Compared.times < 5_000


async def test_a_key_that_comes_twice_is_refused(database, collection):
    async with database.begin() as session:
        matrices = AsyncMatrixRepository(session, collection)
        with pytest.raises(InvalidRow, match="Expected each key once, got 'r1' several times"):
            await matrices.update(["r1", "r2", "r1"], VECTORS[:3])
        with pytest.raises(ConfigurationError, match="Expected keys as a list"):
            await matrices.update("r1", VECTORS[:2])
        assert await matrices.update((key for key in ("r1", "r2")), VECTORS[:2]) == 2
        assert await matrices.update(iter([]), []) == 0


class Direction(Vector):
    """Vectors of length one, which entities have as lists."""

    cache_ok = True

    def coerce(self, value: Any) -> Any:
        vector = super().coerce(value)
        return vector / np.linalg.norm(vector)

    def decode(self, value: Any) -> Any:
        return super().decode(value).tolist()


class Arrow(Small):
    __tablename__ = "arrows"

    id: Mapped[int] = mapped_column(primary_key=True)
    embedding: Mapped[Any] = mapped_column(Direction(2))


async def test_a_subclass_says_what_is_stored_and_what_comes_back(database):
    async with database.begin() as session:
        await session.execute(CreateTable(Arrow.__table__))
        session.add(Arrow(id=1, embedding=[3, 4]))
        await session.flush()
        repository = AsyncRepository(session, Arrow, distance="l2")
        await repository.upsert([{"id": 2, "embedding": [0, 5]}])
        await repository.upsert({"id": n, "embedding": np.array([n, 0.0])} for n in range(3, 600))
        [hit] = await repository.nearest([0, 9], k=1)
        assert (hit.entity.id, hit.distance) == (2, 0)
        [[hit]] = await AsyncSearchRepository(session, Arrow, distance="l2").nearest_many([[0, 9]], k=1)
        assert (hit.entity.id, hit.distance) == (2, 0)
        assert await session.scalar(select(Arrow.embedding).where(Arrow.id == 2)) == [0, 1]
        matrix = await AsyncMatrixRepository(session, Arrow).read([Arrow.id < 4])
        stored = dict(zip(matrix.keys, matrix.vectors.tolist(), strict=True))
        assert stored == {1: pytest.approx([0.6, 0.8]), 2: [0, 1], 3: [1, 0]}
