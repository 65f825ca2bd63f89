"""The statement text is one of three constants whatever a filter holds; everything else travels in parameters."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from sqlalchemy import ColumnElement, column, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB, asyncpg, psycopg, psycopg2
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace.errors import InvalidFilter
from rowspace.filters import DOCUMENT, compile_filter, filter_values, unseen_predicate
from rowspace.filters._compile import _parts

META = column("metadata", JSONB())
CONTAINS = "metadata @> CAST(%(param)s AS JSONB)"
MATCHES = "metadata @@ CAST(%(param)s AS JSONPATH)"
SHAPES = {CONTAINS, MATCHES, f"({CONTAINS}) AND ({MATCHES})"}


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    meta: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB)


def compiled(predicate: ColumnElement[bool]) -> tuple[str, list[Any]]:
    statement = predicate.compile(dialect=psycopg.dialect())
    return re.sub(r"rowspace_[a-z]+_\d+", "param", statement.string), list(statement.params.values())


@pytest.mark.parametrize("empty", [None, {}])
def test_a_statement_of_an_empty_filter_finds_every_row(empty: dict[str, Any] | None) -> None:
    assert compiled(compile_filter(empty, META)) == ("true", [])
    statement = select(META).where(compile_filter(empty, META), META.is_(None))
    assert str(statement.compile(dialect=psycopg.dialect())).endswith("WHERE metadata IS NULL")


def test_the_three_shapes() -> None:
    assert compiled(compile_filter({"a": 1}, META)) == (CONTAINS, ['{"a": 1}'])
    path = 'strict exists($ ? (exists($."a" ? (@ > 1))))'
    assert compiled(compile_filter({"a": {"$gt": 1}}, META)) == (MATCHES, [path])
    both = compiled(compile_filter({"b": "x", "a": {"$gt": 1}}, META))
    assert both == (f"({CONTAINS}) AND ({MATCHES})", ['{"b": "x"}', path])


def test_a_plan_that_is_kept_is_shown_no_document() -> None:
    text = " ".join(str(unseen_predicate(META).compile(dialect=psycopg.dialect())).split())
    assert text == "metadata @> (SELECT CAST(%(rowspace_document)s AS JSONB) AS anon_1)"


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        (psycopg.dialect(), "CAST(%(rowspace_document_1)s AS JSONB)"),
        (psycopg2.dialect(), "CAST(%(rowspace_document_1)s AS JSONB)"),
        (asyncpg.dialect(), "CAST($1 AS JSONB)"),
    ],
)
def test_parameters_are_text_on_every_driver(dialect: postgresql.base.PGDialect, text: str) -> None:
    predicate = compile_filter({"a": 1}, META)
    assert str(predicate.compile(dialect=dialect)) == f"metadata @> {text}"


def test_mapped_attribute_and_two_filters_in_one_statement() -> None:
    first, second = compile_filter({"a": 1}, Note.meta), compile_filter({"a": 2}, Note.meta)
    statement = select(Note.id).where(first | ~second).compile(dialect=psycopg.dialect())
    clause = "notes.metadata @> CAST(%(rowspace_document_{})s AS JSONB)"
    assert statement.string.endswith(f"WHERE ({clause.format(1)}) OR NOT ({clause.format(2)})")
    assert statement.params == {"rowspace_document_1": '{"a": 1}', "rowspace_document_2": '{"a": 2}'}


def test_filters_of_one_shape_share_a_cached_statement() -> None:
    first, second = compile_filter({"a": 1}, META), compile_filter({"b.c": "x", "d": None}, META)
    assert first._generate_cache_key().key == second._generate_cache_key().key  # type: ignore[union-attr]


def test_literal_values_are_quoted() -> None:
    predicate = compile_filter({"a'": "%"}, META)
    statement = predicate.compile(dialect=psycopg.dialect(), compile_kwargs={"literal_binds": True})
    assert statement.string == """metadata @> CAST('{"a''": "%%"}' AS JSONB)"""


hostile = st.text(min_size=1, max_size=12) | st.sampled_from(
    [
        "'; DROP TABLE documents; --",
        '"); DELETE',
        "%(x)s",
        ":name",
        "$1",
        "%s",
        "\\",
        '" || true || "',
        "*/",
        "\x1f",
        "￿",
        "a.b",
    ]
)
value = hostile | st.integers() | st.floats() | st.none() | st.booleans()
condition = st.one_of(
    value,
    st.builds(lambda v: {"$ne": v}, value),
    st.builds(lambda v: {"$in": v}, st.lists(value, max_size=3)),
    st.builds(lambda v: {"$like": v}, hostile),
    st.builds(lambda v: {"$contains": v}, value),
)


@settings(max_examples=200)
@given(st.dictionaries(hostile, condition, min_size=1, max_size=3))
def test_no_key_or_value_reaches_the_statement(filter_: dict[str, Any]) -> None:
    try:
        predicate = compile_filter(filter_, META)
    except InvalidFilter:
        return
    text, parameters = compiled(predicate)
    assert text in SHAPES
    assert all(isinstance(parameter, str) for parameter in parameters)
    assert len(parameters) <= 2


def test_a_filter_that_comes_again_is_what_it_was():
    first = filter_values({"kind": "a", "year": 1})
    assert first == filter_values({"kind": "a", "year": 1}) == {DOCUMENT: '{"kind": "a", "year": 1}'}
    first.clear()
    assert filter_values({"kind": "a", "year": 1}) == {DOCUMENT: '{"kind": "a", "year": 1}'}


@pytest.mark.parametrize("value", [{"$gte": 1}, {"$gte": "1"}, {"$gte": 1, "$lt": 9}, {}, {"$eq": {"b": 1}}, {"b": 1}])
def test_operators_that_come_again_are_what_they_were(value: dict[str, Any]) -> None:
    def outcome(read: Any) -> Any:
        try:
            return read({"a": value, "k": "x"})
        except InvalidFilter as error:
            return str(error)

    assert outcome(filter_values) == outcome(filter_values) == outcome(lambda given: _parts(given, (), whole=False))
    assert filter_values({"a": {"$gte": 1}}) != filter_values({"a": {"$gte": "1"}})


@pytest.mark.parametrize("value", [True, 1.0, None, "x" * 65, 2**80, [1], {"$eq": 1}])
def test_filters_that_look_alike_are_told_apart(value):
    for _ in range(2):
        kept = [filter_values({"n": one}) for one in (1, "1", value)]
        read = [_parts({"n": one}, (), whole=False) for one in (1, "1", value)]
        assert kept == read


def test_a_wrong_filter_is_refused_each_time():
    for _ in range(2):
        with pytest.raises(InvalidFilter, match="NUL"):
            filter_values({"kind": "a\0"})
