"""Column types without a database: compiled with a named dialect, bound and read as each driver does it."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pytest
from pgvector import Bit as PgBit, SparseVector as PgSparse
from sqlalchemy import (
    ARRAY,
    JSON,
    Column,
    Integer,
    MetaData,
    Table,
    TypeDecorator,
    bindparam,
    cast,
    insert,
    literal,
    literal_column,
    select,
    text,
    union,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import asyncpg, psycopg, psycopg2
from sqlalchemy.schema import CreateTable

from rowspace import Bit, Distance, HalfVector, SparseVector, Vector
from rowspace.errors import ConfigurationError, DimensionMismatch, InvalidVector
from rowspace.types import vector_type_of
from rowspace.wire.psycopg import WireValue

TYPES = [Vector(3), HalfVector(3), Bit(3), SparseVector(3), Vector(), HalfVector(), SparseVector()]
TEXTS = {Vector(3): "[1,0,1]", HalfVector(3): "[1,0,1]", Bit(3): "101", SparseVector(3): "{1:1.0,3:1.0}/3"}
table = Table("t", MetaData(), Column("id", Integer, primary_key=True), Column("v", Vector(3)), Column("b", Bit(3)))


class Scipy:
    """A sparse array of SciPy, by the names that it has there."""

    def __init__(self, array, twice=()):
        self.shape, self.dtype = array.shape, array.dtype
        self.coords = tuple(np.append(places, places[[*twice]])[::-1] for places in np.nonzero(array))
        self.data = np.append(array[np.nonzero(array)], np.ones(len(twice), array.dtype))[::-1]

    def tocoo(self):
        return self


def instrumented(module, wrap, *, send):
    dialect = module.dialect()
    dialect.rowspace_wrap, dialect.rowspace_send = wrap, send
    return dialect


def binary(data, _text):
    return data


def sql(statement, dialect=None):
    return " ".join(str(statement.compile(dialect=dialect or psycopg.dialect())).split())


def bound(type_, value, dialect):
    return type_.bind_processor(dialect)(value)


def test_ddl():
    columns = [Column(f"c{at}", type_) for at, type_ in enumerate(TYPES)]
    ddl = " ".join(str(CreateTable(Table("t", MetaData(), *columns)).compile(dialect=postgresql.dialect())).split())
    assert ddl == (
        "CREATE TABLE t ( c0 VECTOR(3), c1 HALFVEC(3), c2 BIT(3), c3 SPARSEVEC(3), "
        "c4 VECTOR, c5 HALFVEC, c6 SPARSEVEC )"
    )


def test_bits_of_any_length_are_not_cut_to_one():
    # A bare BIT is bit(1) in PostgreSQL, and a cast to it drops the rest in silence.
    assert sql(select(literal([1, 0, 1], Bit()))) == "SELECT %(param_1)s::BIT VARYING AS anon_1"


@pytest.mark.parametrize("dimension", [0, -1, 16_001, 1.0, "x", True, None])
def test_a_dimension_is_a_number_in_range(dimension):
    if dimension is None:
        assert Vector(dimension).dimension is None
        return
    with pytest.raises(ConfigurationError, match=r"^The dimension of Vector must be from 1 to 16000, got "):
        Vector(dimension)


def test_a_dimension_of_numpy_is_a_number():
    assert repr(Vector(np.int64(3))) == "Vector(3)"
    assert type(HalfVector(np.uint8(3)).dimension) is int
    assert Vector(np.int64(3))._static_cache_key == Vector(3)._static_cache_key


def test_reflection_knows_the_names_and_gives_digits():
    # In a process of its own: pgvector.sqlalchemy, which other tests import, registers its types by the same names.
    program = (
        "from sqlalchemy.dialects.postgresql.base import ischema_names as names\n"
        "import rowspace.types\n"
        "print([repr(names[name]('3')) for name in ('vector', 'halfvec', 'sparsevec')])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "['Vector(3)', 'HalfVector(3)', 'SparseVector(3)']"


@pytest.mark.parametrize("type_", TYPES, ids=repr)
def test_copies_are_the_same_type(type_):
    for other in (pickle.loads(pickle.dumps(type_)), copy.deepcopy(type_), type_.copy()):  # noqa: S301
        assert (type(other), other.dimension, repr(other)) == (type(type_), type_.dimension, repr(type_))


def test_repr_is_what_makes_it():
    assert [repr(type_) for type_ in TYPES] == [
        "Vector(3)", "HalfVector(3)", "Bit(3)", "SparseVector(3)", "Vector()", "HalfVector()", "SparseVector()"
    ]  # fmt: skip


@pytest.mark.parametrize("type_", TYPES, ids=repr)
def test_statements_are_cached_by_type_and_dimension(type_):
    def key(of):
        statement = select(cast(bindparam("q"), of).label("x"), Column("v", of)).where(
            Column("v", of) == literal(0, of)
        )
        return statement._generate_cache_key()

    assert key(type_) is not None
    assert key(type_) == key(copy.deepcopy(type_))
    assert key(type_) != key(type(type_)(7))


# Parameters


@pytest.mark.parametrize(("type_", "text"), TEXTS.items(), ids=map(repr, TEXTS))
@pytest.mark.parametrize("module", [psycopg, psycopg2], ids=lambda module: module.__name__.rpartition(".")[2])
def test_parameters_are_text_where_nobody_instrumented(type_, text, module):
    assert bound(type_, [1, 0, 1], module.dialect()) == text
    assert bound(type_, None, module.dialect()) is None


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        (Vector(3), "0003 0000 3f800000 00000000 3f800000"),
        (HalfVector(3), "0003 0000 3c00 0000 3c00"),
        (Bit(3), "00000003 a0"),
        (SparseVector(3), "00000003 00000002 00000000 00000000 00000002 3f800000 3f800000"),
    ],
    ids=repr,
)
def test_parameters_are_binary_on_an_instrumented_dialect(type_, data):
    value = bound(type_, [1, 0, 1], instrumented(psycopg, WireValue, send=True))
    assert isinstance(value, WireValue)
    assert value.data == bytes.fromhex(data)
    assert value.text() == type_.to_text(type_.coerce([1, 0, 1]))
    assert repr(value) == f"<{len(value.data)} bytes in binary>"
    assert bound(type_, None, instrumented(psycopg, WireValue, send=True)) is None


def test_a_dialect_may_be_instrumented_after_the_first_statement():
    dialect = psycopg.dialect()
    process = Vector(1).bind_processor(dialect)
    assert process([1]) == "[1]"
    dialect.rowspace_wrap = binary
    assert process([1]) == bytes.fromhex("0001 0000 3f800000")


def test_asyncpg_has_bit_strings_of_its_own():
    from asyncpg import BitString

    for dialect in (asyncpg.dialect(), instrumented(asyncpg, binary, send=False)):
        assert bound(Bit(3), [1, 0, 1], dialect) == BitString("101")
        assert bound(Bit(3), None, dialect) is None
        assert bound(Vector(1), [1], dialect) in {"[1]", bytes.fromhex("0001 0000 3f800000")}


@pytest.mark.parametrize("type_", TEXTS, ids=repr)
def test_a_wrong_value_is_refused_before_any_sql(type_):
    with pytest.raises(DimensionMismatch, match="Expected 3 dimensions, got 2"):
        bound(type_, [1, 0], psycopg.dialect())
    with pytest.raises(InvalidVector):
        bound(type_, [1, 0, float("nan")], psycopg.dialect())


@pytest.mark.parametrize(
    ("type_", "value", "text"),
    [
        (Bit(3), PgBit("101"), "101"),
        (Bit(8), b"\xa0", "10100000"),
        (Bit(8), bytearray(b"\xa0"), "10100000"),
        (SparseVector(3), Scipy(np.array([0, 2, 1])), "{2:2.0,3:1.0}/3"),
        (SparseVector(3), Scipy(np.array([[0, 2.5, 1]]), twice=[0]), "{2:3.5,3:1.0}/3"),
        (SparseVector(3), Scipy(np.array([0, -1, 1]), twice=[0]), "{3:1.0}/3"),
        (SparseVector(20_000), np.eye(1, 20_000, 18_000)[0], "{18001:1.0}/20000"),
        (SparseVector(3), {0: 1.0, 2: 1.0}, "{1:1.0,3:1.0}/3"),
        (SparseVector(3), PgSparse([1, 0, 1]), "{1:1.0,3:1.0}/3"),
        (Vector(2), [Decimal("0.1"), 10**20], "[0.100000001,1.00000002e+20]"),
    ],
)
def test_values_of_others_are_taken(type_, value, text):
    assert bound(type_, value, psycopg.dialect()) == text


@pytest.mark.parametrize(
    ("type_", "value", "message"),
    [
        (SparseVector(), {0: 1.0}, "has no dimension. Use a SparseVector"),
        (SparseVector(3), {3: 1.0}, "Index 3 is outside the range 0 to 2"),
        (SparseVector(3), {-1: 1.0}, "Index -1 is outside the range 0 to 2"),
        (SparseVector(3), {"1": 1.0}, "Index '1' is outside the range 0 to 2"),
        (SparseVector(3), {1: float("inf")}, "can contain only finite numbers"),
        (SparseVector(3), {1: 1e39}, r"in the range of float32, got \[1e\+39\]"),
        (SparseVector(3), {1: "x"}, "can contain only finite numbers"),
        (SparseVector(3), PgSparse([1, 2]), "Expected 3 dimensions, got 2"),
        (SparseVector(), "{}/0", "must have 1 to 1,000,000,000 dimensions, got 0"),
        (SparseVector(), "{1:1}/5000000000", "must have 1 to 1,000,000,000 dimensions, got 5,000,000,000"),
        (SparseVector(), np.ones(16_001), "at most 16,000 elements other than zero, got 16,001"),
        (SparseVector(3), Scipy(np.ones((2, 3))), r"of shape \(n,\) or \(1, n\), got one of shape \(2, 3\)"),
        (
            SparseVector(3),
            Scipy(np.array([1j, 0, 0])),
            "a sparse array of numbers, got one of dtype complex128",
        ),
    ],
)
def test_sparse_values_are_checked(type_, value, message):
    with pytest.raises(InvalidVector, match=message):
        type_.coerce(value)


def test_literals():
    statement = select(table.c.id).where(table.c.v == [1, 2, 0.5], table.c.b == "101")
    compiled = statement.compile(dialect=psycopg.dialect(), compile_kwargs={"literal_binds": True})
    assert "t.v = '[1,2,0.5]'" in str(compiled)
    assert "t.b = '101'" in str(compiled)


# Results


@pytest.mark.parametrize("type_", TEXTS, ids=repr)
def test_results_from_text_and_from_binary(type_):
    value = type_.coerce([1, 0, 1])
    process = type_.result_processor(psycopg.dialect(), None)
    assert process(None) is None
    for given in (type_.to_text(value), type_.to_binary(value), memoryview(type_.to_binary(value))):
        assert type_.compare_values(process(given), value)
        assert type(process(given)) is type(value)


@pytest.mark.parametrize("type_", TEXTS, ids=repr)
def test_results_from_an_adapter_that_was_there_first(type_):
    process = type_.result_processor(psycopg.dialect(), None)
    given = {"bit": PgBit("101"), "sparsevec": PgSparse([1, 0, 1])}.get(type_.name, [1.0, 0.0, 1.0])
    assert type_.compare_values(process(given), [1, 0, 1])


def test_dtypes():
    assert Vector().decode("[1]").dtype == np.float32
    assert HalfVector().decode("[1]").dtype == np.float16
    assert Bit(1).decode("1").dtype == np.bool_


@pytest.mark.parametrize("type_", TEXTS, ids=repr)
def test_comparing_values(type_):
    same = type_.compare_values
    assert same([1, 0, 1], np.array([1, 0, 1]))
    assert same(None, None)
    assert not same([1, 0, 1], None)
    assert not same(None, [1, 0, 1])
    assert not same([1, 0, 1], [1, 1, 1])


@pytest.mark.parametrize("type_", [Vector(3), HalfVector(3), Bit(3)], ids=repr)
def test_an_array_that_is_assigned_again_may_have_changed_in_place(type_):
    array = type_.coerce([1, 0, 1])
    assert not type_.compare_values(array, array)
    assert type_.compare_values(array, array.copy())


def test_a_value_that_cannot_be_is_not_the_same():
    assert not Vector(3).compare_values([1, 2], [1, 2, 3])
    assert not SparseVector(3).compare_values([1, 2], [1, 2, 3])


# Expressions


def test_a_selected_column_goes_through_its_send_function_where_rows_are_text():
    assert sql(select(table.c.v)) == "SELECT t.v AS v FROM t"
    binary = instrumented(psycopg, WireValue, send=True)
    assert sql(select(table.c.v, table.c.b), binary) == "SELECT vector_send(t.v) AS v, bit_send(t.b) AS b FROM t"
    assert sql(select(table.c.v), instrumented(asyncpg, binary, send=False)) == "SELECT t.v AS v FROM t"
    subquery = select(table.c.v).subquery("s")
    assert sql(select(subquery.c.v), binary) == ("SELECT vector_send(s.v) AS v FROM (SELECT t.v AS v FROM t) AS s")
    assert "RETURNING vector_send(t.v) AS v" in sql(insert(table).returning(table.c.v), binary)


def test_what_a_view_is_made_of_is_the_column_itself():
    """The view, and what CREATE TABLE AS makes, had a column of bytes."""
    statement = select(table.c.v, table.c.b).where(table.c.id > 5)
    made = statement.compile(
        dialect=instrumented(psycopg, WireValue, send=True), compile_kwargs={"literal_binds": True}
    )
    assert " ".join(str(made).split()) == "SELECT t.v AS v, t.b AS b FROM t WHERE t.id > 5"


class Wrapped(TypeDecorator):
    impl = Vector
    cache_ok = True


V, X, W = table.c.v, table.c.v.label("x"), Column("w", Wrapped(3))
NEAR = V.l2_distance([1, 2, 3]).label("distance")


@pytest.mark.parametrize(
    ("statement", "compiled"),
    [
        (select(V).distinct().order_by(V), "SELECT DISTINCT t.v AS v FROM t ORDER BY t.v"),
        (select(W).distinct().order_by(W.desc().nulls_last()), "SELECT DISTINCT w AS w_1 ORDER BY w DESC NULLS LAST"),
        (select(X).order_by(X.desc()), "SELECT t.v AS x FROM t ORDER BY x DESC"),
        (select(X).order_by("x"), "SELECT t.v AS x FROM t ORDER BY x"),
        (select(X).order_by(text("x")), "SELECT t.v AS x FROM t ORDER BY x"),
        (select(V).order_by(literal_column("1")), "SELECT t.v AS v FROM t ORDER BY 1"),
        (
            union(select(V), select(V)).order_by("v"),
            "SELECT t.v AS v FROM t UNION SELECT t.v AS v FROM t ORDER BY v",
        ),
    ],
)
def test_what_is_ordered_by_a_vector_is_selected_as_it_is(statement, compiled):
    # As bytes it would not be what DISTINCT is ordered by, and a label would sort by the bytes.
    assert sql(statement, instrumented(psycopg, WireValue, send=True)) == compiled


@pytest.mark.parametrize(
    "statement",
    [
        select(V).distinct(),
        select(V, table.c.id).distinct().order_by(table.c.id),
        select(V, NEAR).order_by(NEAR, table.c.id.desc()),
        select(V, NEAR).order_by("distance", "id"),
        union(select(V, table.c.id), select(V, table.c.id)).order_by("id"),
        select(select(V).order_by(V).limit(1).subquery().c.v),
    ],
    ids=str,
)
def test_what_is_ordered_by_anything_else_goes_through_the_send_function(statement):
    assert "vector_send(" in sql(statement, instrumented(psycopg, WireValue, send=True))


@pytest.mark.parametrize(
    ("method", "operator"),
    [
        ("l2_distance", "<->"),
        ("cosine_distance", "<=>"),
        ("max_inner_product", "<#>"),
        ("l1_distance", "<+>"),
    ],
)
def test_distances_of_vectors(method, operator):
    for type_ in (Vector(2), HalfVector(2), SparseVector(2)):
        column = Column("v", type_)
        expression = getattr(column, method)([1, 2])
        assert sql(expression) == f"v {operator} %(v_1)s::{type_.get_col_spec()}"
        assert expression.type.python_type is float
    assert sql(getattr(table.c.v, method)(table.c.v)) == f"t.v {operator} t.v"


@pytest.mark.parametrize(("method", "operator"), [("hamming_distance", "<~>"), ("jaccard_distance", "<%%>")])
def test_distances_of_bits(method, operator):
    assert sql(getattr(table.c.b, method)("101")) == f"t.b {operator} %(b_1)s::BIT(3)"


def test_a_distance_by_name():
    assert sql(table.c.v.comparator.distance([1, 2, 3], Distance.L1)) == "t.v <+> %(v_1)s::VECTOR(3)"
    assert sql(table.c.b.comparator.distance("101", Distance.HAMMING)) == "t.b <~> %(b_1)s::BIT(3)"


def test_a_negative_distance_and_its_order_keep_their_operands_together():
    order = select(table.c.id).order_by((-table.c.v.max_inner_product([1, 2, 3])).desc())
    assert sql(order).endswith("ORDER BY -(t.v <#> %(v_1)s::VECTOR(3)) DESC")


@pytest.mark.parametrize("type_", [Vector(3), HalfVector(3), Bit(3), SparseVector(3)], ids=str)
@pytest.mark.parametrize("text", ['{"[1,0,1]",NULL}', '[2:2]={"[1,0,1]"}'])
def test_the_text_of_an_array_is_not_taken_for_vectors(type_, text):
    dialect = psycopg2.dialect()
    read = ARRAY(type_).dialect_impl(dialect).result_processor(dialect, None)
    with pytest.raises(ConfigurationError, match=r"got the text of an array of vectors.*MatrixRepository\.read\(\)"):
        read(text)


def test_of_a_type_with_variants_the_one_of_postgresql_counts():
    assert vector_type_of(JSON().with_variant(Vector(3), "postgresql")).dimension == 3
    assert vector_type_of(Vector(3).with_variant(JSON(), "sqlite")).dimension == 3
    assert vector_type_of(Vector(3).with_variant(JSON(), "postgresql")) is None
