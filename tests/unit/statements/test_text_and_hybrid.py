"""Statements of searches by keyword and of hybrid searches, compiled."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import Column, Computed, Index, Integer, MetaData, Table, Text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import registry
from sqlalchemy.schema import CreateIndex

from rowspace.distance import Distance
from rowspace.errors import InvalidSetting, InvalidText
from rowspace.indexes import HNSW
from rowspace.models import Document
from rowspace.statements.admin import Partition
from rowspace.statements.hybrid import Fusion, HybridSearch, hybrid
from rowspace.statements.search import Target, built
from rowspace.statements.text import TextSearch, TextTarget, by_text, text_parameters, text_vector, text_vector_ddl
from rowspace.types import Vector

TARGET = TextTarget(Target(Document, "embedding", Distance.COSINE, 3, (("collection_id", 7),)), "content", "english")
DIALECT = postgresql.dialect(paramstyle="named")


def sql(statement):
    return " ".join(str(statement.compile(dialect=DIALECT)).split())


def test_no_constant_has_backslashes_that_a_setting_of_the_session_makes_escapes_of():
    for shape in (TextSearch(), TextSearch(highlight=True)):
        constants = re.findall(r"(E?)'((?:[^']|'')*)'", sql(by_text(TARGET, shape)))
        assert all(escaped == "E" for escaped, constant in constants if "\\" in constant)
        assert any("\\" in constant for _, constant in constants)


def test_the_index_and_the_queries_have_one_expression():
    indexed = Partition(7, 3).create_indexes(HNSW(), "english")[1]
    expression = text_vector_ddl("english")
    assert indexed == f"CREATE INDEX IF NOT EXISTS ix_documents_7_text ON documents_7 USING gin ({expression})"
    assert expression.replace("content", "documents.content") in sql(by_text(TARGET, TextSearch()))
    assert expression.replace("content", "documents.content") in sql(hybrid(TARGET, HybridSearch(10, 40)))


def test_a_languages_name_cannot_leave_its_literal():
    assert text_vector_ddl("it's").startswith("to_tsvector('it''s'::regconfig, ")


def test_a_model_of_ones_own_uses_it_in_an_index_and_in_a_computed_column():
    body = Column("body", Text)
    vector = Column("words", TSVECTOR, Computed(text_vector("simple", body), persisted=True))
    table = Table("t", MetaData(), Column("id", Integer, primary_key=True), body, vector)
    index = Index("ix_t_body", text_vector("simple", table.c.body), postgresql_using="gin")
    ddl = str(CreateIndex(index).compile(dialect=DIALECT))
    assert ddl.endswith(f"USING gin ({text_vector_ddl('simple', 'body')})")


def test_the_tsvector_of_a_row_is_computed_once_outside_of_the_index():
    statement = sql(by_text(TARGET, TextSearch()))
    assert statement.count("to_tsvector") == 2
    assert "OFFSET 0" in statement


def test_only_the_rows_returned_are_highlighted_and_the_embedding_is_not_read():
    statement = sql(by_text(TARGET, TextSearch(k=5, highlight=True)))
    assert statement.index("ts_headline") < statement.index("ts_rank_cd")
    assert statement.count("ts_headline") == 1
    assert "documents.embedding" not in statement


def test_max_ranked_and_k_are_numbers_in_the_statement():
    statement = sql(by_text(TARGET, TextSearch(k=5, max_ranked=77)))
    assert re.findall(r"LIMIT (\d+)", statement) == ["77", "5"]
    assert "LIMIT 5)" in sql(by_text(TARGET, TextSearch(k=5, max_ranked=None)))


def test_both_sides_have_scope_and_conditions():
    statement = sql(hybrid(TARGET, HybridSearch(10, 40), [Document.id > "x"]))
    assert statement.count("documents.collection_id = ") == 3 + 1  # twice for the rows read: scope and join
    # Without conditions the scope is written out, so that the plan can be kept.
    assert sql(hybrid(TARGET, HybridSearch(10, 40))).count("documents.collection_id = 7") == 3
    assert statement.count("documents.id > ") == 2
    assert "FULL OUTER JOIN" in statement


def test_the_vector_side_keeps_the_shape_of_the_index_and_loses_it_when_exact():
    order = r"ORDER BY CAST\(documents.embedding AS VECTOR\(3\)\) <=> \S+ LIMIT 40"
    assert re.search(order, sql(hybrid(TARGET, HybridSearch(10, 40))))
    exact = sql(hybrid(TARGET, HybridSearch(10, 40, exact=True)))
    assert not re.search(order, exact)
    assert "+ 0.0 LIMIT 40" in exact


def test_a_quantized_index_gives_more_candidates_that_are_ranked_again():
    target = TextTarget(replace(TARGET.target, quantize="bit"), "content")
    statement = sql(hybrid(target, HybridSearch(10, 40, candidates=320)))
    assert re.search(r"ORDER BY CAST\(binary_quantize.* <~> .* LIMIT 320", statement)
    assert re.search(r"ORDER BY \S+rowspace_distance, .* LIMIT 40", statement)
    assert "<~>" not in sql(hybrid(target, HybridSearch(10, 40, exact=True)))


def test_statements_are_kept_by_shape():
    first = built(hybrid, TARGET, HybridSearch(10, 40), (), keep=True)
    assert built(hybrid, TARGET, HybridSearch(10, 40), (), keep=True) is first
    assert built(hybrid, TARGET, HybridSearch(10, 41), (), keep=True) is not first


def test_columns_that_have_another_key_than_their_name():
    class Note:
        pass

    mapped = registry()
    mapped.map_imperatively(
        Note,
        Table(
            "notes",
            mapped.metadata,
            Column("Note Id", Integer, key="id", primary_key=True),
            Column("Note Part", Integer, key="part", primary_key=True),
            Column("The Text", Text, key="body"),
            Column("The Vector", Vector(3), key="vector"),
        ),
    )
    target = TextTarget(Target(Note, "vector", Distance.COSINE), "body")
    assert 'ON notes."Note Id" = rowspace_best."Note Id" AND' in sql(by_text(target, TextSearch()))
    assert 'notes."Note Part" = rowspace_best.part' in sql(hybrid(target, HybridSearch(10, 40)))


def test_each_fusion_has_its_own_parameters():
    ranked, weighted = (hybrid(TARGET, HybridSearch(10, 40, method=method)) for method in ("rrf", "weighted"))
    for statement, fusion in ((ranked, Fusion()), (weighted, Fusion("weighted"))):
        named = {name for name in statement.compile(dialect=DIALECT).params if name.startswith("rowspace_")}
        assert named == {"rowspace_query", "rowspace_text", *fusion.parameters}


@pytest.mark.parametrize(("given", "k", "fetched"), [(None, 10, 40), (None, 30, 60), (5, 10, 10), (100, 10, 100)])
def test_candidates_of_each_side(given, k, fetched):
    assert Fusion(fetch_k=given).fetch(k) == fetched


@pytest.mark.parametrize(
    "options",
    [
        {"method": "sum"},
        {"vector_weight": -1},
        {"text_weight": float("nan")},
        {"rrf_k": float("inf")},
        {"fetch_k": 0},
        {"max_ranked": True},
    ],
)
def test_a_fusion_out_of_range_is_refused(options):
    with pytest.raises(InvalidSetting, match=next(iter(options)).replace("method", "fusion")):
        Fusion(**options)


@pytest.mark.parametrize("k", [0, -1, 1.5, True, None])
def test_k_out_of_range_is_refused(k):
    with pytest.raises(InvalidSetting, match="k must be a whole number"):
        TextSearch(k)
    with pytest.raises(InvalidSetting, match="k must be a whole number"):
        Fusion().fetch(k)


def test_weights_may_be_numpys():
    fusion = Fusion(vector_weight=np.float32(0.5), text_weight=np.float64(2), rrf_k=np.int64(3))
    assert [type(value) for value in fusion.parameters.values()] == [float] * len(fusion.parameters)
    assert fusion == Fusion(vector_weight=0.5, text_weight=2, rrf_k=3)


@pytest.mark.parametrize("query", [None, 3, b"word", ["word"]])
def test_a_query_is_a_text(query):
    with pytest.raises(InvalidText, match="A keyword query must be a text, got"):
        text_parameters(query)


def test_a_query_has_a_longest_length():
    assert text_parameters("a" * 1_000) == {"rowspace_text": "a" * 1_000}
    with pytest.raises(InvalidText, match="at most 1,000 characters, got 1,001"):
        text_parameters("a" * 1_001)
