"""Filters on a real PostgreSQL: compared with an evaluator in Python, with SQL's LIKE, and by EXPLAIN."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Integer,
    MetaData,
    NullPool,
    Select,
    Table,
    Text,
    and_,
    create_engine,
    func,
    literal,
    make_url,
    not_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, asyncpg
from sqlalchemy.ext.asyncio import create_async_engine

from rowspace.filters import compile_filter, filter_parts, key_path, parameters_of
from rowspace.repositories.subjects import _predicates
from rowspace.statements.indexing import planned_key

TABLES = MetaData()
ITEMS = Table("filter_items", TABLES, Column("id", Integer, primary_key=True), Column("metadata", JSONB))
MANY = Table("filter_many", TABLES, Column("id", Integer, primary_key=True), Column("metadata", JSONB))
META = ITEMS.c.metadata

KEYS = ["a", "b", "c d", "é.x", "$e", "q\"'\\"]
SCALARS = [
    None,
    True,
    False,
    0,
    1,
    -1,
    1.5,
    2,
    -0.0,
    10**400,
    "",
    "a",
    "b",
    "B",
    "1",
    "true",
    "é",
    "\uffff",
    "😀",
    "a\nb",
]

on_database = settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])


# The reference evaluator: reads the filter dict itself and shares no code with rowspace.filters.

MISSING = object()


def holds(filter_: dict[str, Any], at: Any) -> bool:
    return all(entry_holds(key, operand, at) for key, operand in filter_.items())


def entry_holds(key: str, operand: Any, at: Any) -> bool:
    if key == "$and":
        return all(holds(one, at) for one in operand)
    if key == "$or":
        return any(holds(one, at) for one in operand)
    if key == "$not":
        return not any(holds(one, at) for one in (operand if isinstance(operand, list) else [operand]))
    if key.startswith("$"):
        return operator_holds(key, operand, at)
    for name in split(key):
        at = at.get(name, MISSING) if isinstance(at, dict) else MISSING
    return holds(operand, at) if isinstance(operand, dict) else equal(at, operand)


def split(key: str) -> list[str]:
    names, rest = [""], iter(key)
    for character in rest:
        if character == ".":
            names.append("")
        else:
            names[-1] += next(rest) if character == "\\" else character
    return names


def operator_holds(name: str, operand: Any, value: Any) -> bool:
    negations = {"$ne": "$eq", "$nin": "$in"}
    if name in negations:
        return not operator_holds(negations[name], operand, value)
    elements = value if isinstance(value, list) else []
    return {
        "$eq": lambda: equal(value, operand),
        "$gt": lambda: ordered(value, operand) and value > operand,
        "$gte": lambda: ordered(value, operand) and value >= operand,
        "$lt": lambda: ordered(value, operand) and value < operand,
        "$lte": lambda: ordered(value, operand) and value <= operand,
        "$between": lambda: ordered(value, operand[0]) and operand[0] <= value <= operand[1],
        "$in": lambda: any(equal(value, one) for one in operand),
        "$exists": lambda: (value is not MISSING) == operand,
        "$contains": lambda: any(equal(element, operand) for element in elements),
        "$any": lambda: any(equal(element, one) for element in elements for one in operand),
        "$all": lambda: all(any(equal(element, one) for element in elements) for one in operand),
        "$like": lambda: isinstance(value, str) and like(value, operand),
        "$ilike": lambda: isinstance(value, str) and like(value.lower(), operand.lower()),
    }[name]()


def kind(value: Any) -> type:
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


def equal(value: Any, operand: Any) -> bool:
    if isinstance(value, list) and isinstance(operand, list):
        return len(value) == len(operand) and all(map(equal, value, operand))
    return kind(value) is kind(operand) and not isinstance(value, list | dict) and bool(value == operand)


def ordered(value: Any, operand: Any) -> bool:
    return kind(value) is kind(operand) and kind(value) in {float, str}


def like(value: str, pattern: str) -> bool:
    if not pattern:
        return not value
    if pattern[0] == "%":
        return any(like(value[start:], pattern[1:]) for start in range(len(value) + 1))
    if pattern[0] == "\\":
        return value[:1] == pattern[1] and like(value[1:], pattern[2:])
    return bool(value) and pattern[0] in {"_", value[0]} and like(value[1:], pattern[1:])


# Documents and filters from one small vocabulary, so that they meet.


def random_value(dice: random.Random, depth: int) -> Any:
    roll = dice.random()
    if depth and roll < 0.25:
        return {key: random_value(dice, depth - 1) for key in dice.sample(KEYS, dice.randrange(4))}
    if depth and roll < 0.5:
        return [random_value(dice, depth - 1) for _ in range(dice.randrange(3))]
    return dice.choice(SCALARS)


def documents() -> list[Any]:
    dice = random.Random(20)
    objects = [{key: random_value(dice, 2) for key in dice.sample(KEYS, dice.randrange(5))} for _ in range(250)]
    odd = [{}, [], [{"a": 1}], "a", 1, None, {"a": [1, [2]]}, {"a": [[1]]}, {"a": {"b": {"a": 1}}}, {"a": {"0": 1}}]
    # What does not fit in an index as a whole, or in a float.
    values = ("a" * 250, "a" * 250 + "b", "a" * 200, 10**3000, -(10**3000), 0.1, 2**53 + 1)
    return [*objects, *odd, *({"a": value} for value in values)]


def escaped(name: str) -> str:
    quoted = name.replace("\\", "\\\\").replace(".", "\\.")
    return "\\" + quoted if quoted.startswith("$") else quoted


names = st.sampled_from([escaped(key) for key in KEYS])
keys = names | st.lists(names, min_size=2, max_size=3).map(".".join)
scalars = st.sampled_from(SCALARS)
# Enough of each type for the binary search that takes the place of a list.
FILLER = [*range(-40, 40, 3), *"cdefghijklmnopqrstuvwxyz"]
several = st.lists(scalars, max_size=3) | st.lists(scalars, max_size=9).map(lambda some: some + FILLER)
orderable = st.sampled_from([scalar for scalar in SCALARS if kind(scalar) in {float, str}])
patterns = st.lists(st.sampled_from(["%", "_", "a", "b", "B", "1", "\\%", "\\\\", "\n", "."]), max_size=4).map("".join)
arrays = st.lists(scalars | st.lists(scalars, max_size=2), max_size=2)
operators = st.one_of(
    st.tuples(st.sampled_from(["$eq", "$ne"]), scalars | arrays),
    st.tuples(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), orderable),
    st.tuples(st.sampled_from(["$in", "$nin", "$any"]), several),
    st.tuples(st.just("$all"), st.lists(scalars, min_size=1, max_size=3)),
    st.tuples(st.just("$between"), st.lists(orderable, min_size=2, max_size=2).filter(lambda two: ordered(*two))),
    st.tuples(st.just("$exists"), st.booleans()),
    st.tuples(st.sampled_from(["$like", "$ilike"]), patterns),
    st.tuples(st.just("$contains"), scalars),
)
tests = st.lists(operators, min_size=1, max_size=2).map(dict)
operands = scalars | arrays | tests | tests.map(lambda inner: {"$not": inner})
leaves = st.dictionaries(
    keys, operands | st.dictionaries(names, operands, min_size=1, max_size=2), min_size=1, max_size=3
)
filters = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["$and", "$or"]), st.lists(inner, min_size=1, max_size=3)).map(
            lambda pair: dict([pair])
        ),
        inner.map(lambda one: {"$not": one}),
        st.lists(inner, min_size=1, max_size=2).map(lambda several: {"$not": several}),
        st.tuples(inner, inner).map(lambda pair: {**pair[0], "$or": list(pair)}),
    ),
    max_leaves=5,
)


FILL_ITEMS = text(
    "INSERT INTO filter_items (metadata) SELECT value FROM jsonb_array_elements(CAST(:documents AS jsonb))"
)
FILL_MANY = text("""
    INSERT INTO filter_many SELECT i, jsonb_build_object('kind', 'k' || i % 1000, 'page', i % 900,
        'tags', jsonb_build_array('t' || i % 800, 'every'), 'by', jsonb_build_object('name', 'n' || i % 700))
    FROM generate_series(1, 10000) AS i""")


@pytest.fixture(scope="module")
def connection(rowspace_url: str) -> Iterator[Connection]:
    engine = create_engine(rowspace_url, poolclass=NullPool)
    with engine.begin() as opened:
        TABLES.drop_all(opened)
        TABLES.create_all(opened)
        opened.execute(FILL_ITEMS, {"documents": json.dumps(documents())})
        opened.execute(FILL_MANY)
        for table in TABLES.tables:
            opened.exec_driver_sql(f"CREATE INDEX ON {table} USING gin (metadata jsonb_path_ops)")
            opened.exec_driver_sql(f"ANALYZE {table}")
    with engine.connect() as opened:
        yield opened
    with engine.begin() as closing:
        TABLES.drop_all(closing)


@pytest.fixture(scope="module")
def stored(connection: Connection) -> dict[int, Any]:
    return {row.id: row.metadata for row in connection.execute(select(ITEMS))}


def predicate_of(filter_: dict[str, Any], column: Any = META) -> ColumnElement[bool]:
    return compile_filter(filter_, column)


def found(connection: Connection, predicate: ColumnElement[bool], *, by_index: bool = False, **values: str) -> set[int]:
    scan, index = ("off", "on") if by_index else ("on", "off")
    connection.exec_driver_sql(f"SET enable_seqscan = {scan}; SET enable_bitmapscan = {index}")
    return set(connection.scalars(select(ITEMS.c.id).where(predicate), values))


@settings(on_database)
@given(filters)
@example({"a": {"$in": []}})
@example({"a": {"$nin": []}})
@example({"$not": {"a.b": {"$lt": 2}}})
@example({"a": 1, "b": {"$exists": False}})
@example({"$and": [{"a": 1}, {"a": {"$ne": True}}]})
@example({"a": {"$gt": "\uffff"}})
@example({"$and": [{"a": 1}, {"a": 2}]})
@example({"a": True, "a.b": 1})
def test_agrees_with_the_evaluator(connection: Connection, stored: dict[int, Any], filter_: dict[str, Any]) -> None:
    expected = {id_ for id_, document in stored.items() if holds(filter_, document)}
    predicate = predicate_of(filter_)
    assert found(connection, predicate) == expected
    assert found(connection, predicate, by_index=True) == expected
    assert found(connection, not_(predicate)) == stored.keys() - expected


INDEXED = [*map(escaped, KEYS), "a.b", "b.a", "a.0"]


@pytest.fixture(scope="module")
def indexed(connection: Connection, stored: dict[int, Any]) -> dict[int, Any]:
    """Rows of a table with an index on each of several keys."""
    connection.rollback()
    with connection.engine.begin() as opened:
        for key in INDEXED:
            opened.exec_driver_sql(f"CREATE INDEX ON filter_items USING {planned_key(key)[1]}".replace("%", "%%"))
        opened.exec_driver_sql("ANALYZE filter_items")
    return stored


def keyed(filter_: dict[str, Any], *, whole: bool) -> tuple[list[ColumnElement[bool]], dict[str, str]]:
    """Return the predicate of a filter, and that of a search of few rows where there is one; and the values."""
    parts = filter_parts(filter_, tuple(map(key_path, INDEXED)), whole=whole)
    clauses, few, _ = _predicates(META, tuple(parts))
    return [and_(*some) for some in (clauses, few) if some], parameters_of(parts)


comparisons = st.dictionaries(
    st.sampled_from(INDEXED),
    scalars
    | st.dictionaries(st.sampled_from(["$gt", "$gte", "$lt", "$lte", "$eq"]), orderable, min_size=1, max_size=2),
    min_size=1,
    max_size=3,
)


@settings(on_database)
@given(comparisons | filters, st.booleans())
@example({"a": {"$gte": "a" * 199}}, False)
@example({"a": {"$gt": "a" * 200}}, False)
@example({"a": "a" * 250}, False)
@example({"a": {"$lt": "a" * 199 + "b"}}, False)
@example({"a": {"$gt": 10**2999}}, False)
@example({"a": {"$lt": -(10**2999)}}, False)
@example({"a": 0.1}, False)
@example({"a": {"$gt": 2**53}}, True)
@example({"a.0": 1}, False)
def test_indexes_on_keys_change_nothing(
    connection: Connection, indexed: dict[int, Any], filter_: dict[str, Any], whole: bool
) -> None:
    expected = {id_ for id_, document in indexed.items() if holds(filter_, document)}
    predicates, values = keyed(filter_, whole=whole)
    for predicate in predicates:
        assert found(connection, predicate, **values) == expected
        assert found(connection, predicate, by_index=True, **values) == expected


ODD_TEXT = st.lists(
    st.sampled_from([*"ab.%_\\*+?()[]{}|^$-#&!=: \n\t\r", "é", "É", "😀", "\\d", "(?i)", "***:", "\x7f"]), max_size=6
).map("".join)


ODD_PATTERN = st.lists(
    st.sampled_from([*"ab.%_*+?()[]{}|^$-# \n", "é", "É", "😀", "\\\\", "\\%", "\\_", "\\a", "\\d", "***:"]), max_size=6
).map("".join)


@settings(on_database)
@given(st.lists(ODD_TEXT, min_size=1, max_size=8), ODD_PATTERN, st.sampled_from(["$like", "$ilike"]))
@example(["***:a", "a"], "***:a", "$like")
@example(["a\nb", "a"], "a%b", "$like")
@example(["a\n"], "a", "$like")
def test_like_is_like(connection: Connection, texts: list[str], pattern: str, operator: str) -> None:
    texts = [*texts, pattern, pattern.replace("\\", "").upper()]
    document = func.jsonb_array_elements(literal(json.dumps([{"k": one} for one in texts])).cast(JSONB), type_=JSONB)
    rows = select(document.column_valued("metadata")).subquery()
    value = rows.c.metadata["k"].astext
    ours = predicate_of({"k": {operator: pattern}}, rows.c.metadata)
    theirs = value.ilike(pattern) if operator == "$ilike" else value.like(pattern)
    for one, got, wanted in connection.execute(select(value, ours, theirs)):
        assert got == wanted, (one, pattern)


def plan_of(connection: Connection, statement: Select[Any]) -> dict[str, Any]:
    compiled = statement.compile(connection.engine)
    sql = f"EXPLAIN (ANALYZE, FORMAT JSON) {compiled.string}"
    return connection.exec_driver_sql(sql, compiled.params).scalar_one()[0]["Plan"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("filter_", "entries"),
    [
        ({"kind": "k1"}, 10),
        ({"by.name": "n1"}, 15),
        ({"by": {"name": "n1"}, "page": 1}, 1),
        ({"kind": {"$in": ["k1", "k2", "k3"]}}, 30),
        ({"page": {"$in": [1, 2]}, "tags": {"$contains": "every"}}, 24),
        ({"tags": {"$contains": "t1"}}, 13),
        ({"tags": {"$any": ["t1", "t2"]}}, 26),
        ({"tags": {"$all": ["every", "t1"]}}, 13),
        ({"tags": ["t1", "every"]}, 13),
        ({"$or": [{"kind": "k1"}, {"by.name": "n1"}]}, 25),
        ({"kind": "k1", "page": {"$gt": 5}, "tags": {"$ne": "x"}}, 10),
        ({"$not": {"kind": {"$ne": "k1"}}}, 10),
        ({"kind": {"$not": {"$nin": ["k1", "k2"]}}}, 20),
    ],
)
def test_gin_index_narrows_the_scan(connection: Connection, filter_: dict[str, Any], entries: int) -> None:
    connection.exec_driver_sql("RESET enable_seqscan; RESET enable_bitmapscan")
    plan = plan_of(connection, select(MANY.c.id).where(predicate_of(filter_, MANY.c.metadata)))
    assert plan["Node Type"] == "Bitmap Heap Scan"
    assert plan["Plans"][0]["Node Type"] == "Bitmap Index Scan"
    assert entries - 2 <= plan["Plans"][0]["Actual Rows"] <= entries + 2


def test_gin_index_serves_a_binary_search(connection: Connection) -> None:
    connection.exec_driver_sql("SET enable_seqscan = off; SET enable_bitmapscan = on")
    filter_ = {"kind": {"$in": [*(f"k{number}" for number in range(200)), None, 1, 2]}}
    plan = plan_of(connection, select(MANY.c.id).where(predicate_of(filter_, MANY.c.metadata)))
    assert plan["Plans"][0]["Node Type"] == "Bitmap Index Scan"
    assert plan["Plans"][0]["Actual Rows"] == plan["Actual Rows"] == 2000


def test_generic_plan_parses_the_parameters_once(connection: Connection) -> None:
    predicate = predicate_of({"a": 1, "b": {"$gt": 1}})
    statement = select(ITEMS.c.id).where(predicate).compile(dialect=asyncpg.dialect())
    raw = connection.connection.cursor()
    # GENERIC_PLAN came with PostgreSQL 16.
    raw.execute(f"SET LOCAL plan_cache_mode = force_generic_plan; PREPARE generic AS {statement.string}")
    raw.execute("EXPLAIN EXECUTE generic(NULL, NULL)")
    plan = "\n".join(row[0] for row in raw.fetchall())
    assert "(metadata @> $1) AND (metadata @@ $2)" in plan


EDGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"n": 10**400}, {"n": 10**400}),
    ({"n": 1}, {"n": {"$lt": Decimal("1e131071")}}),
    ({"n": 0}, {"n": {"$gt": Decimal("-1e-16383")}}),
    ({"n": 0.1}, {"n": Decimal("0.100")}),
    ({"n": 0}, {"n": {"$in": [-0.0]}}),
    ({"n": -5}, {"n": {"$in": [-5]}}),
    ({"n": 3}, {"n": {"$in": list(range(100_000))}}),
    ({"n": 0.1}, {"n": {"$in": [*range(20), 0.1, Decimal("0.1"), Decimal("0.10000000000000000001")]}}),
    ({"n": list(range(2000))}, {"n": list(range(2000))}),
    ({"n": 3}, {"$or": [{"n": number} for number in range(20_000)]}),
    ({"k": "/* \" ' $1 %(x)s :y \\u0041 \x01\x7f"}, {"k": {"$in": ["/* \" ' $1 %(x)s :y \\u0041 \x01\x7f"]}}),
    ({"k": "ж" * 500 + "x" * 300}, {"k": {"$ilike": "Ж" * 500 + "%_" * 150}}),
    ({".".join("ab"): {"\n\t": 1}}, {"a\\.b.\n\t": {"$gte": 1}}),
]


@pytest.mark.parametrize(("document", "filter_"), EDGES, ids=range(len(EDGES)))
def test_edges_of_numbers_text_and_size(
    connection: Connection, document: dict[str, Any], filter_: dict[str, Any]
) -> None:
    rows = select(literal(json.dumps(document), Text).cast(JSONB).label("metadata")).subquery()
    predicate = predicate_of(filter_, rows.c.metadata)
    assert connection.scalar(select(predicate)) is True
    assert connection.scalar(select(not_(predicate))) is False


def test_column_that_is_null_matches_neither_filter_nor_complement(connection: Connection) -> None:
    rows = select(literal(None, Text).cast(JSONB).label("metadata")).subquery()
    assert connection.scalar(select(predicate_of({"a": {"$ne": 1}}, rows.c.metadata))) is None


DRIVER_FILTER = {"a": 1, "b": {"$nin": ["O'Brien", '"%s :x $1', "é😀"]}, "$not": {"c d": {"$like": "%\\%"}}}


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_synchronous_drivers(connection: Connection, stored: dict[int, Any], rowspace_url: str, driver: str) -> None:
    expected = {id_ for id_, document in stored.items() if holds(DRIVER_FILTER, document)}
    assert expected
    connection.rollback()
    engine = create_engine(make_url(rowspace_url).set(drivername=f"postgresql+{driver}"), json_serializer=None)
    with engine.connect() as opened:
        assert set(opened.scalars(select(ITEMS.c.id).where(predicate_of(DRIVER_FILTER)))) == expected
    engine.dispose()


def test_asyncpg(stored: dict[int, Any], rowspace_url: str) -> None:
    expected = {id_ for id_, document in stored.items() if holds(DRIVER_FILTER, document)}

    async def ids() -> set[int]:
        engine = create_async_engine(make_url(rowspace_url).set(drivername="postgresql+asyncpg"))
        async with engine.connect() as opened:
            rows = await opened.scalars(select(ITEMS.c.id).where(predicate_of(DRIVER_FILTER)))
        await engine.dispose()
        return set(rows)

    assert asyncio.run(ids()) == expected
    assert expected
