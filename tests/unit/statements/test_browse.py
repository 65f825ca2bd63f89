"""Statements of listings, compiled."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import Integer
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column

from rowspace.distance import Distance
from rowspace.models import Document
from rowspace.statements.browse import After, Key, Listing, distinct, facet, rows, scroll, stats
from rowspace.statements.search import Target
from rowspace.types import Vector

TARGET = Target(Document, "embedding", Distance.COSINE, 3, (("collection_id", 7),))
YEAR = Key(Document, "meta", ("year",))
CREATED = Key(Document, "created_at")
DIALECT = postgresql.dialect(paramstyle="named")


def sql(statement):
    return " ".join(str(statement.compile(dialect=DIALECT)).split())


@pytest.mark.parametrize(
    ("key", "descending", "order"),
    [
        (None, False, "documents.id"),
        (None, True, "documents.id DESC"),
        (CREATED, False, "documents.created_at, documents.id"),
        (CREATED, True, "documents.created_at DESC, documents.id DESC"),
        (YEAR, False, "(documents.metadata #> :path) NULLS LAST, documents.id"),
        (YEAR, True, "(documents.metadata #> :path) DESC NULLS LAST, documents.id DESC"),
    ],
)
def test_the_order_is_total(key, descending, order):
    statement = re.sub(r":\w+::TEXT\[\]", ":path", sql(scroll(Listing(TARGET, key, descending), 3, None, [])))
    assert statement.split("ORDER BY ")[1] == f"{order} LIMIT 3"


def test_a_column_that_is_never_null_is_continued_by_one_comparison_of_rows():
    statement = sql(scroll(Listing(TARGET, CREATED), 3, After("2020-01-01", ("a",)), []))
    assert "(documents.created_at, documents.id) > (CAST(" in statement
    assert " OR " not in statement


def test_metadata_is_continued_among_and_before_rows_without_it():
    statement = sql(scroll(Listing(TARGET, YEAR), 3, After("2020", ("a",)), []))
    assert statement.count("IS NULL") == 1
    assert statement.count(" OR ") == 2
    last = sql(scroll(Listing(TARGET, YEAR), 3, After(None, ("a",)), []))
    assert last.count("IS NULL") == 1
    assert " OR " not in last


def test_an_expression_may_be_null():
    class Base(DeclarativeBase):
        pass

    class Row(Base):
        __tablename__ = "rows"
        id: Mapped[int] = mapped_column(primary_key=True)
        embedding: Mapped[object] = mapped_column(Vector(3), deferred=True)
        year: Mapped[int] = mapped_column(Integer)
        decade: Mapped[int] = column_property(year.column // 10)

    listing = Listing(Target(Row, "embedding", Distance.COSINE), Key(Row, "decade"))
    statement = sql(scroll(listing, 3, After("202", ("1",)), []))
    assert statement.endswith("NULLS LAST, rows.id LIMIT 3")
    assert "IS NULL" in statement


@pytest.mark.parametrize("key", [YEAR, CREATED])
def test_whatever_is_read_is_of_the_collection_and_meets_the_conditions(key):
    where = [Document.content == "text"]
    listing = Listing(TARGET, key)
    statements = [rows(listing, where), scroll(listing, 3, After("2020", ("a",)), where)]
    statements += [facet(TARGET, key, 3, where), distinct(TARGET, key, 3, where)]
    for statement in (*map(sql, statements), *sql(stats(TARGET, key, where)).rsplit(" FROM ", 1)):
        assert re.search(r"documents\.collection_id = \S+ AND documents\.content = ", statement)


def test_values_travel_as_parameters():
    evil = "x') OR ('1'='1"
    statement = scroll(Listing(TARGET, Key(Document, "meta", (evil,))), 3, After(evil, (evil,)), [])
    assert evil not in sql(statement)
    assert evil not in sql(facet(TARGET, Key(Document, "meta", (evil,)), 3))
    assert evil not in sql(stats(TARGET, Key(Document, "meta", (evil,))))


@pytest.mark.parametrize("built", [facet(TARGET, YEAR, 3), stats(TARGET, YEAR)], ids=["facet", "stats"])
def test_only_arrays_are_taken_apart_after_they_are_counted_together(built):
    statement = re.sub(r"\s+", " ", sql(built))
    counted, taken_apart = statement.split(" UNION ALL ")
    assert "GROUP BY rowspace_every.value)" in counted
    assert "jsonb_path_query" not in counted
    assert "jsonb_path_query(rowspace_whole.value" in taken_apart
    assert "jsonb_typeof(rowspace_whole.value) = 'array'" in taken_apart
