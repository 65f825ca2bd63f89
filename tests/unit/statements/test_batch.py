"""The SQL of searches by many queries, by a row that is there and by group, compiled without a database."""

from __future__ import annotations

import re
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from sqlalchemy.dialects.postgresql import asyncpg, psycopg, psycopg2
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace.distance import Distance
from rowspace.errors import DimensionMismatch, InvalidSetting
from rowspace.models import Document, MetadataMixin
from rowspace.statements.arrays import VectorArray
from rowspace.statements.batch import count_many, key_parameters, nearest_many, similar_to
from rowspace.statements.examples import embeddings_of, nearer_to, without
from rowspace.statements.grouping import Grouping, GroupKey, grouped
from rowspace.statements.search import Nearest, Target, built, key_columns, nearest
from rowspace.types import Bit, HalfVector, SparseVector, Vector


class Base(DeclarativeBase):
    pass


class Note(MetadataMixin, Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    embedding: Mapped[Any] = mapped_column(Vector(3), deferred=True)


class Tile(Base):
    __tablename__ = "tiles"
    x: Mapped[int] = mapped_column(primary_key=True)
    y: Mapped[int] = mapped_column(primary_key=True)
    embedding: Mapped[Any] = mapped_column(Vector(3))


class Draft(Base):
    __tablename__ = "drafts"
    id: Mapped[int] = mapped_column(primary_key=True)
    embedding: Mapped[Any] = mapped_column(Vector(3), nullable=True)


NOTES = Target(Note, "embedding", Distance.L2)
TILES = Target(Tile, "embedding", Distance.COSINE)
DOCUMENTS = Target(Document, "embedding", Distance.COSINE, 3, (("collection_id", 7),))


def sql(statement, dialect=None) -> str:
    return re.sub(r"\s+", " ", statement.compile(dialect=dialect or psycopg.dialect()).string)


def test_many_queries_are_one_lateral_join():
    assert sql(nearest_many(NOTES, Nearest(5))) == (
        "SELECT rowspace_queries.position, rowspace_hits.id, rowspace_hits.kind, rowspace_hits.metadata, "
        "rowspace_hits.rowspace_distance "
        "FROM unnest((SELECT CAST(%(rowspace_queries)s AS VECTOR(3)[]) AS anon_1)) WITH ORDINALITY "
        "AS rowspace_queries(query, position) JOIN LATERAL ("
        "SELECT notes.id AS id, notes.kind AS kind, notes.metadata AS metadata, "
        "notes.embedding <-> rowspace_queries.query AS rowspace_distance "
        "FROM notes ORDER BY notes.embedding <-> rowspace_queries.query LIMIT 5) AS rowspace_hits ON true "
        "ORDER BY rowspace_queries.position, rowspace_hits.rowspace_distance"
    )


@pytest.mark.parametrize(
    ("dialect", "parameter"),
    [
        (psycopg.dialect(), "CAST(%(rowspace_queries)s AS VECTOR(3)[])"),
        (psycopg2.dialect(), "CAST(%(rowspace_queries)s AS VECTOR(3)[])"),
        (asyncpg.dialect(), "CAST($1 AS VECTOR(3)[])"),
    ],
)
def test_the_array_is_cast_on_every_driver(dialect, parameter):
    assert f"unnest((SELECT {parameter} AS anon_1))" in sql(nearest_many(NOTES, Nearest(5)), dialect)


def test_a_collection_is_searched_by_the_cast_that_its_index_is_on():
    text = sql(nearest_many(DOCUMENTS, Nearest(5)))
    assert "ORDER BY CAST(documents.embedding AS VECTOR(3)) <=> rowspace_queries.query LIMIT 5" in text
    assert "WHERE documents.collection_id = 7 ORDER BY" in text


def test_an_exact_search_keeps_off_the_index():
    text = sql(nearest_many(NOTES, Nearest(5, exact=True)))
    assert "ORDER BY (notes.embedding <-> rowspace_queries.query) + 0.0" in text


@pytest.mark.parametrize("statement", [nearest, nearest_many, similar_to])
def test_rows_without_a_vector_are_left_out_where_there_may_be_such(statement):
    drafts = Target(Draft, "embedding", Distance.L2)
    # The row that is the example has to have one, whatever the column says.
    example = int(statement is similar_to)
    assert sql(statement(drafts, Nearest(5))).count("drafts.embedding IS NOT NULL") == 1 + example
    assert sql(statement(NOTES, Nearest(5))).count("notes.embedding IS NOT NULL") == example


def test_the_range_ends_outside_of_the_scan():
    text = sql(nearest_many(NOTES, Nearest(5, max_distance=True), [Note.kind == "a"]))
    inner, outer = text.split(") AS rowspace_hits")
    assert "WHERE notes.kind = " in inner
    assert "rowspace_max_distance" not in inner
    assert "WHERE rowspace_hits.rowspace_distance <= %(rowspace_max_distance)s" in outer


def test_the_embedding_is_selected_when_asked():
    assert "rowspace_hits.embedding" not in sql(nearest_many(TILES, Nearest(5)))
    assert "rowspace_hits.embedding" in sql(nearest_many(TILES, Nearest(5, with_embedding=True)))


def test_like_a_row_reads_its_vector_in_the_server():
    text = sql(similar_to(TILES, Nearest(5)))
    assert (
        "FROM (SELECT 1 AS position, tiles.embedding AS query FROM tiles "
        "WHERE tiles.x = %(rowspace_key_x)s::INTEGER AND tiles.y = %(rowspace_key_y)s::INTEGER "
        "AND tiles.embedding IS NOT NULL LIMIT ALL OFFSET 0) AS rowspace_queries"
    ) in text
    assert (
        "WHERE NOT (tiles.x = %(rowspace_key_x)s::INTEGER AND tiles.y = %(rowspace_key_y)s::INTEGER) "
        "ORDER BY tiles.embedding <=> rowspace_queries.query LIMIT 5"
    ) in text


def test_the_key_of_a_document_is_its_id():
    assert [*key_columns(DOCUMENTS)] == ["id"]
    assert key_parameters(DOCUMENTS, ("a",)) == {"rowspace_key_id": "a"}
    assert key_parameters(TILES, (1, 2)) == {"rowspace_key_x": 1, "rowspace_key_y": 2}


@pytest.mark.parametrize("stored", [False, True])
def test_candidates_are_counted_for_each_query(stored):
    text = sql(count_many(NOTES, Nearest(5, max_distance=True), stored=stored))
    assert text.startswith("SELECT rowspace_queries.position, count(rowspace_hits.rowspace_distance)")
    assert "LEFT OUTER JOIN LATERAL" in text
    assert "rowspace_max_distance" not in text
    assert ("rowspace_key_id" in text) is stored


@pytest.mark.parametrize("build", [nearest_many, similar_to])
@pytest.mark.parametrize("found_once", [False, True])
def test_a_statement_is_built_once_where_that_pays(build, found_once):
    kept = [built(build, NOTES, Nearest(5), (), keep=True, found_once=found_once) for _ in range(2)]
    assert kept[0] is kept[1]
    again = built(build, NOTES, Nearest(5), (), keep=False, found_once=found_once)
    assert again is not kept[0]
    assert sql(again) == sql(kept[0])


# Arrays


def bound(type_, values, dialect):
    return VectorArray(type_).bind_processor(dialect)(values)


def wrapped(data, _text):
    return data


@given(st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3)))
def test_the_binary_array_is_what_array_recv_reads(vectors):
    dialect = psycopg.dialect()
    dialect.rowspace_wrap = wrapped
    data = bound(Vector(3), vectors, dialect)
    assert struct.unpack_from(">iiIii", data) == (1, 0, 0, len(vectors), 1)
    items = [data[20 + 20 * i : 40 + 20 * i] for i in range(len(vectors))]
    assert len(data) == 20 + 20 * len(vectors)
    for item, vector in zip(items, vectors, strict=True):
        assert struct.unpack_from(">ihh", item) == (16, 3, 0)
        np.testing.assert_array_equal(np.frombuffer(item, ">f4", offset=8), np.float32(vector))


def test_bits_are_an_array_of_a_built_in_type():
    dialect = psycopg.dialect()
    dialect.rowspace_wrap = wrapped
    assert struct.unpack_from(">iiIii", bound(Bit(4), ["0101"], dialect)) == (1, 0, 1560, 1, 1)


@pytest.mark.parametrize(
    ("type_", "values", "text"),
    [
        (Vector(2), [[1, 2.5], [3, 4]], '{"[1,2.5]","[3,4]"}'),
        (HalfVector(2), [[1, 2.5]], '{"[1,2.5]"}'),
        (Bit(4), ["0101", [1, 1, 1, 1]], '{"0101","1111"}'),
        (SparseVector(4), [{1: 2.0}], '{"{2:2.0}/4"}'),
        (Vector(2), [], "{}"),
    ],
)
def test_the_array_as_text(type_, values, text):
    assert bound(type_, values, psycopg2.dialect()) == text
    assert VectorArray(type_).literal_processor(psycopg.dialect())(values) == f"'{text}'"


def test_asyncpg_gets_a_list():
    assert bound(Vector(2), [[1, 2]], asyncpg.dialect()) == ["[1,2]"]


def test_a_vector_of_another_dimension_is_refused_before_any_sql():
    with pytest.raises(DimensionMismatch):
        bound(Vector(2), [[1, 2, 3]], psycopg.dialect())


# Examples


def test_examples_are_left_out():
    assert without(NOTES, []) == []
    (condition,) = without(NOTES, [(1,), (2,)])
    assert sql(condition) == "(notes.id NOT IN (__[POSTCOMPILE_id_1]))"
    (condition,) = without(TILES, [(1, 2)])
    assert sql(condition) == "((tiles.x, tiles.y) NOT IN (__[POSTCOMPILE_param_1]))"


def test_embeddings_are_read_by_key_within_the_scope():
    text = sql(embeddings_of(DOCUMENTS, [("a",)]))
    assert text.startswith("SELECT documents.id, documents.embedding AS embedding FROM documents WHERE ")
    assert "documents.collection_id = %(collection_id_1)s::BIGINT AND documents.id IN " in text


def test_nearer_to_the_positive_than_to_every_negative():
    assert nearer_to(NOTES, [[1, 2, 3]], []) == []
    (condition,) = nearer_to(NOTES, [[1, 2, 3], [4, 5, 6]], [[7, 8, 9]])
    assert re.sub(r"%\(\w+\)s::VECTOR\(3\)", "?", sql(condition)) == (
        "least(notes.embedding <-> ?, notes.embedding <-> ?) < least(notes.embedding <-> ?)"
    )


# Groups


def test_groups_are_ranked_without_the_rows():
    text = sql(grouped(NOTES, GroupKey(Note.kind.expression), Grouping(3, 2, 60)))
    assert (
        "FROM (SELECT notes.id AS rowspace_key_0, notes.kind AS rowspace_group, "
        "notes.embedding <-> %(rowspace_query)s::VECTOR(3) AS rowspace_distance FROM notes "
        "WHERE notes.kind IS NOT NULL "
        "ORDER BY notes.embedding <-> %(rowspace_query)s::VECTOR(3) LIMIT 60) AS rowspace_candidates"
    ) in text
    assert "rowspace_ranked.rank <= 2" in text
    assert "rowspace_best.place <= 3 ORDER BY rowspace_best.place, rowspace_best.rowspace_distance" in text


def test_groups_of_all_rows_are_from_a_plain_pass():
    text = sql(grouped(NOTES, GroupKey(Note.kind.expression), Grouping(3, 2)))
    assert "LIMIT" not in text
    assert "notes.embedding <-> %(rowspace_query)s::VECTOR(3) AS rowspace_distance" in text


def test_the_group_is_a_path_in_the_metadata():
    key = GroupKey.of_metadata(Note.__table__.c.metadata, ("at", "a'b"))
    compiled = key.known()[0].compile(dialect=psycopg.dialect())
    assert re.sub(r"%\(\w+\)s::\w+", "?", compiled.string) == "jsonb_typeof((notes.metadata -> ?) -> ?) != 'null'"
    assert list(compiled.params.values()) == ["at", "a'b"]


def test_values_of_the_metadata_are_looked_up_by_the_gin_index():
    key = GroupKey.of_metadata(Note.__table__.c.metadata, ("at", "kind"))
    same, contained = key.among(["x", 5])
    assert " IN (" in sql(same)
    assert sql(contained).count("notes.metadata @> ") == 2
    assert [*contained.compile(dialect=psycopg.dialect()).params.values()] == [
        {"at": {"kind": "x"}},
        {"at": {"kind": 5}},
    ]


@pytest.mark.parametrize("options", [{"groups": 0}, {"per_group": 0}, {"groups": 1.5}, {"groups": True}])
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(InvalidSetting, match=next(iter(options))):
        Grouping(**options)


@pytest.mark.parametrize("target", [NOTES, TILES, Target(Draft, "embedding", Distance.L2), DOCUMENTS])
def test_few_rows_are_found_once_for_all_queries(target):
    where = [target.attribute.is_not(None)]
    for statement in (nearest_many, similar_to):
        text = sql(statement(target, Nearest(5, min_distance=True, max_distance=True), where, found_once=True))
        rows, searched = text.split("LATERAL", 1)
        assert "AS MATERIALIZED (SELECT" in rows
        assert "FROM rowspace_rows WHERE" in searched
        assert " IS NOT NULL" in rows
        assert " IS NOT NULL" not in searched


def test_all_rows_are_ranked_by_one_window_that_need_not_keep_them():
    text = sql(grouped(NOTES, GroupKey(Note.kind.expression), Grouping(3, 2)))
    assert "OVER ()" not in text
    assert "min(" not in text
