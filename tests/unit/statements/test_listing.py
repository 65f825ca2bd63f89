"""Statements of listings, compiled."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import Integer, func
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import HSTORE
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column

from rowspace.distance import Distance
from rowspace.errors import ConfigurationError
from rowspace.models import Document
from rowspace.statements.browse import Key
from rowspace.statements.listing import After, Listing, parts, rows, scroll
from rowspace.statements.search import Target
from rowspace.types import Vector

TARGET = Target(Document, "embedding", Distance.COSINE, 3, (("collection_id", 7),))
YEAR = Key(Document, "meta", ("year",))
CREATED = Key(Document, "created_at")
DIALECT = postgresql.dialect(paramstyle="named")


def sql(statement):
    return " ".join(str(statement.compile(dialect=DIALECT)).split())


def pages(listing, after=None, where=()):
    """Return the statements of a page that no part of the listing fills, in their order."""
    return [sql(scroll(listing, part, 3, where)) for part in parts(listing, after)]


@pytest.mark.parametrize(
    ("key", "descending", "order"),
    [
        (None, False, "documents.id"),
        (None, True, "documents.id DESC"),
        (CREATED, False, "documents.created_at, documents.id"),
        (CREATED, True, "documents.created_at DESC, documents.id DESC"),
    ],
    ids=str,
)
def test_the_order_is_total(key, descending, order):
    (statement,) = pages(Listing(TARGET, key, descending))
    assert statement.split("ORDER BY ")[1] == f"{order} LIMIT 3"


@pytest.mark.parametrize(("descending", "last"), [(False, "documents.id"), (True, "documents.id DESC")])
def test_each_part_of_an_indexed_key_has_a_total_order(descending, last):
    statements = pages(Listing(TARGET, YEAR, descending, indexed=True))
    assert len(statements) == 4
    assert all(statement.endswith(f", {last} LIMIT 3") for statement in statements[:3])
    assert statements[3].split("ORDER BY ")[1] == f"{last} LIMIT 3"


@pytest.mark.parametrize("key", [CREATED, YEAR], ids=str)
def test_where_no_index_has_the_order_one_statement_is_all(key):
    statement, *others = pages(Listing(TARGET, key), After("2020", ("a",)))
    assert not others
    assert " OR " not in statement
    (without, *_) = pages(Listing(TARGET, YEAR), After(None, ("a",)))
    assert without == pages(Listing(TARGET, YEAR), After("2020", ("a",)))[0]


def test_a_column_that_is_never_null_is_continued_by_one_comparison_of_rows():
    (statement,) = pages(Listing(TARGET, CREATED), After("2020-01-01", ("a",)))
    assert "(documents.created_at, documents.id) > (CAST(" in statement


@pytest.mark.parametrize(
    ("value", "ascending", "descending"), [("-1.5", 4, 3), ('"1"', 3, 4), ("true", 2, 2), ("[1]", 2, 2), (None, 1, 1)]
)
def test_an_indexed_key_is_continued_in_the_part_where_it_was(value, ascending, descending):
    for listing, expected in (
        (Listing(TARGET, YEAR, indexed=True), ascending),
        (Listing(TARGET, YEAR, descending=True, indexed=True), descending),
    ):
        statements = pages(listing, After(value, ("a",)))
        assert len(statements) == expected
        compares = [bool(re.search(r"documents\.id\) [<>] \(|documents\.id [<>] ", one)) for one in statements]
        assert compares == [True, *[False] * (expected - 1)]


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "rows"
    id: Mapped[int] = mapped_column(primary_key=True)
    embedding: Mapped[object] = mapped_column(Vector(3), deferred=True)
    year: Mapped[int] = mapped_column(Integer)
    decade: Mapped[int] = column_property(year.column // 10)
    dimensions: Mapped[int] = column_property(func.vector_dims(embedding.column))
    labels: Mapped[dict[str, str]] = mapped_column(HSTORE)


def test_an_expression_may_be_null():
    listing = Listing(Target(Row, "embedding", Distance.COSINE), Key(Row, "decade"))
    present, missing = pages(listing, After("202", ("1",)))
    # What the comparison says already; the planner would count it twice.
    assert "IS NOT NULL" not in present
    assert "IS NOT NULL" in pages(listing)[0]
    assert "IS NULL" in missing
    (rest,) = pages(listing, After(None, ("1",)))
    assert "(rows.id) > (" in rest
    assert "NULLS LAST, rows.id" in sql(rows(listing, []))


def test_pages_by_an_expression_need_its_type():
    listing = Listing(Target(Row, "embedding", Distance.COSINE), Key(Row, "dimensions"))
    with pytest.raises(
        ConfigurationError, match=r"does not know the type of Row\.dimensions, .* func.lower\(column, type_=Text\(\)\)"
    ):
        pages(listing)
    assert sql(rows(listing, [])).endswith("NULLS LAST, rows.id")


def test_hstore_has_the_order_of_json_as_it_has_no_comparison_of_its_own():
    listing = Listing(Target(Row, "embedding", Distance.COSINE), Key(Row, "labels"))
    (page,) = pages(listing)
    assert page.endswith(" ORDER BY CAST(rows.labels AS JSONB), rows.id LIMIT 3")
    assert sql(rows(listing, [])).endswith(" ORDER BY CAST(rows.labels AS JSONB), rows.id")


@pytest.mark.parametrize(
    "listing",
    [Listing(TARGET), Listing(TARGET, CREATED), Listing(TARGET, YEAR), Listing(TARGET, YEAR, indexed=True)],
    ids=str,
)
def test_whatever_is_read_is_of_the_collection_and_meets_the_conditions(listing):
    where = [Document.content == "text"]
    for statement in (sql(rows(listing, where)), *pages(listing, where=where)):
        assert re.search(r"documents\.collection_id = \S+ AND documents\.content = ", statement)


def test_values_travel_as_parameters():
    evil = "x') OR ('1'='1"
    (statement,) = pages(Listing(TARGET, Key(Document, "meta", (evil,))), After(evil, (evil,)))
    assert evil not in statement
    assert evil not in sql(rows(Listing(TARGET, Key(Document, "meta", (evil,))), []))
