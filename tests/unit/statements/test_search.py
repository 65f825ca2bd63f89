"""The SQL of each shape of a search, as text: the planner uses a vector index for this and nothing like it."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column

from rowspace import Bit, Distance, Document, Vector
from rowspace.errors import InvalidSetting
from rowspace.statements import search
from rowspace.statements.search import Nearest, Target, distance_to, nearest, planned_for


class Base(DeclarativeBase):
    pass


class Article(Base):
    __tablename__ = "articles"
    id: Mapped[int] = mapped_column(primary_key=True)
    year: Mapped[int]
    embedding: Mapped[object] = mapped_column(Vector(3), deferred=True)
    signature: Mapped[object] = mapped_column("sig", Bit(8), deferred=True)
    unit: Mapped[object] = column_property(func.l2_normalize(embedding.column, type_=Vector(3)), deferred=True)


ARTICLES = Target(Article, "embedding", Distance.COSINE)
DOCUMENTS = Target(Document, "embedding", Distance.L2, 3, (("collection_id", 7),))
QUERY = "%(rowspace_query)s::VECTOR(3)"
EACH_TIME = "(%(rowspace_planned)s OR (SELECT count(*) FROM generate_series(1, 1000000000)) = 0)"


def sql(statement):
    return " ".join(str(statement.compile(dialect=psycopg.dialect())).split())


def test_a_vector_that_is_computed_may_be_missing():
    computed = Target(Article, "unit", Distance.L2)
    assert " WHERE l2_normalize(articles.embedding) IS NOT NULL ORDER BY " in sql(nearest(computed, Nearest(5)))


def test_a_plain_search():
    assert sql(nearest(ARTICLES, Nearest(5))) == (
        f"SELECT articles.id, articles.year, articles.embedding <=> {QUERY} AS rowspace_distance FROM articles "
        f"ORDER BY articles.embedding <=> {QUERY} LIMIT 5"
    )


def test_conditions_and_a_range():
    statement = nearest(ARTICLES, Nearest(5, max_distance=True, min_distance=True), [Article.year > 2020])
    distance = f"(articles.embedding <=> {QUERY})"
    assert sql(statement).partition(" WHERE ")[2] == (
        f"articles.year > %(year_1)s::INTEGER AND {EACH_TIME} "
        f"AND {distance} >= %(rowspace_min_distance)s AND {distance} <= %(rowspace_max_distance)s "
        f"ORDER BY articles.embedding <=> {QUERY} LIMIT 5"
    )


def test_no_conditions_need_no_plan_of_their_own():
    assert planned_for([]) == []


def test_an_exact_search_keeps_from_the_index_by_its_order_alone():
    assert sql(nearest(ARTICLES, Nearest(5, exact=True))).endswith(
        f"FROM articles ORDER BY (articles.embedding <=> {QUERY}) + 0.0 LIMIT 5"
    )


def test_the_embedding_is_selected_when_asked_for():
    assert "articles.embedding AS embedding," in sql(nearest(ARTICLES, Nearest(with_embedding=True)))
    assert "articles.embedding AS" not in sql(nearest(ARTICLES, Nearest()))


def test_an_iterative_search_sorts_again_and_applies_the_upper_end_outside():
    shape = Nearest(5, max_distance=True, min_distance=True, iterative=True)
    inner, _, outer = sql(nearest(ARTICLES, shape, [Article.year > 2020])).partition(") AS anon_1 ")
    assert outer == (
        "WHERE anon_1.rowspace_distance <= %(rowspace_max_distance)s ORDER BY anon_1.rowspace_distance + 0.0 LIMIT 5"
    )
    assert inner.startswith(
        "SELECT anon_1.id, anon_1.year, anon_1.rowspace_distance FROM (WITH rowspace_found AS MATERIALIZED "
        "(SELECT articles.id AS id,"
    )
    assert (
        f"FROM articles WHERE articles.year > %(year_1)s::INTEGER AND {EACH_TIME} AND (articles.embedding <=> {QUERY}) "
        f">= %(rowspace_min_distance)s ORDER BY articles.embedding <=> {QUERY} LIMIT 150) SELECT rowspace_found.id"
        in inner
    )
    assert inner.endswith("FROM rowspace_found LIMIT 10")


@pytest.mark.parametrize(("k", "taken"), [(5, 10), (30, 60), (500, 600)])
def test_an_iterative_search_takes_more_rows_than_it_returns(k, taken):
    text = sql(nearest(ARTICLES, Nearest(k, iterative=True)))
    assert f" LIMIT {taken}) AS anon_1 ORDER BY anon_1.rowspace_distance + 0.0 LIMIT {k}" in text
    assert "WITH" not in text


@pytest.mark.parametrize(("count", "planned"), [(1, 15), (10, 150), (20, 300), (200, 680)])
def test_a_filtered_search_is_planned_for_more_rows_than_it_takes(count, planned):
    text = sql(search.first_of(select(Article.id), distance_to(ARTICLES), count, filtered=True))
    assert f" LIMIT {planned}) SELECT rowspace_found.id FROM rowspace_found LIMIT {count}" in text


def test_a_collection_is_a_scope_and_a_cast():
    statement = sql(nearest(DOCUMENTS, Nearest(5)))
    assert "CAST(documents.embedding AS VECTOR(3)) <-> %(rowspace_query)s::VECTOR(3) AS rowspace_distance" in statement
    assert statement.endswith(
        f"WHERE documents.collection_id = 7 ORDER BY CAST(documents.embedding AS VECTOR(3)) <-> {QUERY} LIMIT 5"
    )
    # With a filter the planner has to look at its values each time.
    filtered = sql(nearest(DOCUMENTS, Nearest(5), [Article.id > 1]))
    assert "WHERE documents.collection_id = %(collection_id_1)s::BIGINT AND " in filtered


def test_a_filtered_search_of_a_collection_is_planned_each_time():
    statement = sql(nearest(DOCUMENTS, Nearest(5), [Document.id == "a"]))
    assert "WHERE documents.collection_id = %(collection_id_1)s::BIGINT AND documents.id = " in statement


def test_bits_of_a_renamed_column():
    statement = sql(nearest(Target(Article, "signature", Distance.HAMMING), Nearest(5, with_embedding=True)))
    assert "articles.sig <~> %(rowspace_query)s::BIT(8) AS rowspace_distance" in statement


@pytest.mark.parametrize("distance", [distance for distance in Distance if not distance.for_bits])
def test_each_distance(distance):
    assert sql(distance_to(Target(Article, "embedding", distance))) == (
        f"articles.embedding {distance.operator} {QUERY}".replace("<%", "<%%")
    )
    by_value = sql(distance_to(Target(Article, "embedding", distance), [1, 2, 3]))
    assert by_value == f"articles.embedding {distance.operator} %(embedding_1)s::VECTOR(3)"


@pytest.mark.parametrize("k", [0, -1, 2**31, True, 1.0, "5", None])
def test_k_is_a_number_of_at_least_one(k):
    with pytest.raises(InvalidSetting, match="k must be a whole number of at least 1"):
        Nearest(k)


def test_k_may_be_a_number_of_numpys():
    assert sql(nearest(ARTICLES, Nearest(np.int64(7)))).endswith("LIMIT 7")
    assert sql(nearest(ARTICLES, Nearest(np.int8(100), iterative=True))).endswith("LIMIT 100")


def test_counting_candidates_leaves_the_upper_end_out():
    statement = sql(search.count_candidates(ARTICLES, Nearest(5, max_distance=True), [Article.year > 2020]))
    assert statement.startswith("SELECT count(*) AS count_1 FROM (WITH rowspace_found AS MATERIALIZED (SELECT articles")
    assert statement.endswith("FROM rowspace_found LIMIT 10) AS anon_1")
    assert "max_distance" not in statement


def test_parameters_are_those_given():
    assert search.parameters([1], max_distance=0.0) == {"rowspace_query": [1], "rowspace_max_distance": 0.0}


def test_a_statement_can_be_extended():
    extended = nearest(ARTICLES, Nearest(5)).where(Article.id != 1).with_only_columns(Article.id)
    assert sql(extended).startswith("SELECT articles.id FROM articles WHERE articles.id != %(id_1)s::INTEGER ORDER BY")


def test_statements_of_one_shape_are_built_once_and_cached():
    def built(k=5, **options):
        return search.built(nearest, ARTICLES, Nearest(k, iterative=True, **options), (), keep=True)

    assert built() is built()
    assert built() is not built(k=6)
    other = nearest(ARTICLES, Nearest(5, iterative=True))
    assert (
        other._generate_cache_key() == nearest(ARTICLES, Nearest(5, iterative=True))._generate_cache_key() is not None
    )


def test_conditions_that_will_not_come_again_are_not_kept():
    one, two = (search.built(nearest, ARTICLES, Nearest(5), (Article.year > 1,), keep=False) for _ in "ab")
    assert one is not two
    assert sql(one) == sql(two)


def test_the_target_can_be_a_column_of_a_subclass():
    class Special(Article):
        pass

    assert "articles.embedding <=>" in sql(nearest(Target(Special, "embedding", Distance.COSINE), Nearest()))
    assert sql(select(Special.id)) == "SELECT articles.id FROM articles"
