"""Statements of summaries, compiled."""

from __future__ import annotations

import re

import pytest
from sqlalchemy.dialects import postgresql

from rowspace.distance import Distance
from rowspace.models import Document
from rowspace.statements.browse import Key, distinct, facet, is_used, stats
from rowspace.statements.search import Target

TARGET = Target(Document, "embedding", Distance.COSINE, 3, (("collection_id", 7),))
YEAR = Key(Document, "meta", ("year",))
CREATED = Key(Document, "created_at")
DIALECT = postgresql.dialect(paramstyle="named")


def sql(statement):
    return " ".join(str(statement.compile(dialect=DIALECT)).split())


@pytest.mark.parametrize("key", [YEAR, CREATED])
def test_whatever_is_read_is_of_the_collection_and_meets_the_conditions(key):
    where = [Document.content == "text"]
    statements = [facet(TARGET, key, 3, where), distinct(TARGET, key, 3, where)]
    for statement in (*map(sql, statements), *sql(stats(TARGET, key, where)).rsplit(" FROM ", 1)):
        assert re.search(r"documents\.collection_id = \S+ AND documents\.content = ", statement)


def test_a_key_travels_as_a_parameter():
    evil = Key(Document, "meta", ("x') OR ('1'='1",))
    for statement in (facet(TARGET, evil, 3), distinct(TARGET, evil, 3), stats(TARGET, evil), is_used(evil)):
        assert evil.path[0] not in sql(statement)


@pytest.mark.parametrize("built", [facet(TARGET, YEAR, 3), stats(TARGET, YEAR)], ids=["facet", "stats"])
def test_only_arrays_are_taken_apart_after_they_are_counted_together(built):
    statement = re.sub(r"\s+", " ", sql(built))
    counted, taken_apart = statement.split(" UNION ALL ")
    assert "GROUP BY rowspace_every.value)" in counted
    assert "jsonb_path_query" not in counted
    assert "jsonb_path_query(rowspace_whole.value" in taken_apart
    assert "jsonb_typeof(rowspace_whole.value) = 'array'" in taken_apart
