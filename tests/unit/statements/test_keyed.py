"""The two columns of an index on a metadata key, and the comparisons that it serves, as SQL."""

from __future__ import annotations

import pytest
from sqlalchemy.dialects.postgresql import asyncpg, psycopg

from rowspace.errors import InvalidFilter
from rowspace.filters import KeyTest
from rowspace.models import Document
from rowspace.statements.admin import Partition
from rowspace.statements.indexing import PlannedIndex, Shape, planned_key
from rowspace.statements.keyed import key_predicate, unseen_key_predicate

META = Document.__table__.c.metadata
YEAR = "CASE WHEN (jsonb_typeof({0} -> 'year') = 'number') THEN CAST({0} -> 'year' AS NUMERIC) END"
TEXT = "CASE WHEN (jsonb_typeof({0} -> 'year') = 'string') THEN left({0} ->> 'year', 200) END COLLATE \"C\""


def sql(clause, dialect=psycopg):
    return str(clause.compile(dialect=dialect.dialect()))


def test_the_index():
    assert planned_key("year") == ("key_year", f"btree (({YEAR}), ({TEXT}))".replace("{0}", "metadata"))
    assert (
        Partition(7, 3, "s")
        .key_index("year")
        .create(if_not_exists=True)
        .startswith("CREATE INDEX IF NOT EXISTS ix_documents_7_key_year ON s.documents_7 USING btree ((CASE ")
    )


@pytest.mark.parametrize("comparison", ["==", ">", ">=", "<", "<="])
def test_a_comparison_has_the_expression_of_the_index(comparison):
    operator = comparison.replace("==", "=")
    number, text = (column.replace("{0}", "documents.metadata") for column in (YEAR, TEXT))
    of_number = KeyTest(("year",), comparison, is_text=False, name="n")
    assert sql(key_predicate(META, of_number)) == f"{number} {operator} CAST(%(n)s AS NUMERIC)"
    of_text = KeyTest(("year",), comparison, is_text=True, name="n")
    assert sql(key_predicate(META, of_text)) == f"{number} IS NULL AND ({text} {operator} CAST(%(n)s AS TEXT))"
    assert sql(unseen_key_predicate(META, of_number), asyncpg) == (
        f"{number} {operator} (SELECT CAST($1 AS NUMERIC) AS anon_1)"
    )


def test_names_are_constants_whatever_they_hold():
    test = KeyTest(("it's", "100 %", "a\\b", ":x", "0"), "==", is_text=False, name="n")
    compiled = sql(key_predicate(META, test))
    assert "(((documents.metadata -> 'it''s') -> E'100 \\x25') -> E'a\\\\b') -> ':x') -> '0'" in compiled
    assert "(metadata -> 'it''s') ->> E'100 \\x25'" in planned_key("it's.100 %")[1]


def test_a_comparison_is_one_object():
    test = KeyTest(("year",), "==", is_text=False, name="n")
    assert key_predicate(META, test) is key_predicate(META, KeyTest(("year",), "==", is_text=False, name="n"))
    assert unseen_key_predicate(META, test) is unseen_key_predicate(META, test)


@pytest.mark.parametrize("key", ["a vector(3) b", "vector_l2_ops", "x WHERE y", "z WITH (m = 3)"])
def test_a_name_is_not_taken_for_a_part_of_the_definition(key):
    assert Partition(7, 3).key_index(key).shape == Shape("btree")


def test_names_of_indexes_are_short():
    partition = Partition(10**9, 3, suffix="_next")
    names = {partition.key_index("k" * length).name for length in (25, 26)}
    assert [len(f"{name}_ccnew") for name in names] == [63, 63]
    assert planned_key("é" * 12)[0] == "key_" + "é" * 12
    assert len(planned_key("é" * 13)[0]) == 28


def test_a_malformed_key():
    with pytest.raises(InvalidFilter, match=r"'a\.\.b'"):
        Partition(7, 3).indexes(None, "simple", ["a..b"])


def test_the_indexes_of_keys_come_last():
    plans = Partition(7, 3).indexes(None, "simple", ["a", "b.c"])
    assert [plan.name for plan in plans] == [
        f"ix_documents_7_{name}" for name in ("metadata", "text", "key_a", "key_b.c")
    ]
    assert isinstance(plans[2], PlannedIndex)
    assert 'INDEX "ix_documents_7_key_b.c" ON' in plans[3].create()
