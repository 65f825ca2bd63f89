from dataclasses import replace

import pytest
from alembic.autogenerate import render_python_code
from alembic.migration import MigrationContext
from alembic.operations.ops import UpgradeOps
from sqlalchemy import Column, Index, Integer, MetaData, Table, cast, text
from sqlalchemy.dialects.postgresql import psycopg

from rowspace.distance import Distance
from rowspace.indexes import HNSW, IVFFlat
from rowspace.migrations.catalog import StoredIndex, cast_types
from rowspace.migrations.index_comparison import _bare, index_differences
from rowspace.types import HalfVector, Vector

STORED = StoredIndex(
    name="ix",
    table_name="articles",
    schema=None,
    method="hnsw",
    valid=True,
    is_unique=False,
    options={"m": "16", "ef_construction": "64"},
    predicate=None,
    keys=[{"column": "embedding", "expression": None, "opclass": "vector_cosine_ops", "is_default": False}],
)


def differences(index, stored=STORED, *, attach=False):
    table = Table(
        "articles", MetaData(), Column("id", Integer), Column("embedding", Vector(3)), *([] if attach else [index])
    )
    if attach:
        table.append_constraint(index(table))
        index = next(iter(table.indexes))
    return index_differences(index, stored, psycopg.dialect())


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (HNSW().index("embedding", name="ix"), []),
        (Index("ix", "embedding", postgresql_using="HNSW", postgresql_ops={"embedding": "vector_cosine_ops"}), []),
        (Index("ix", text("embedding vector_cosine_ops"), postgresql_using="hnsw"), []),
        (Index("ix", text("embedding ext.vector_cosine_ops"), postgresql_using="hnsw"), []),
        (IVFFlat().index("embedding", name="ix"), ["USING hnsw to ivfflat"]),
        (Index("ix", "embedding"), ["USING hnsw to btree"]),
        (
            HNSW(m=8).index("embedding", name="ix"),
            ["WITH {'m': '16', 'ef_construction': '64'} to {'m': '8', 'ef_construction': '64'}"],
        ),
        (
            HNSW(Distance.L2).index("embedding", name="ix"),
            ["operator class ['vector_cosine_ops'] to ['vector_l2_ops']"],
        ),
        (
            Index("ix", "embedding", postgresql_using="hnsw"),
            ["operator class ['vector_cosine_ops'] to ['default']"],
        ),
    ],
)
def test_an_hnsw_index_against_models(index, expected):
    assert differences(index) == expected


def test_pgvectors_defaults_are_known():
    assert differences(HNSW().index("embedding", name="ix"), replace(STORED, options={})) == []


def test_a_model_that_leaves_lists_open_accepts_any():
    stored = replace(STORED, method="ivfflat", options={"lists": "317"})
    assert differences(IVFFlat().index("embedding", name="ix"), stored) == []
    assert differences(IVFFlat(lists=100).index("embedding", name="ix"), stored) == [
        "WITH {'lists': '317'} to {'lists': '100'}"
    ]


def test_the_default_operator_class_need_not_be_named():
    keys = [{"column": "embedding", "expression": None, "opclass": "vector_l2_ops", "is_default": True}]
    stored = replace(STORED, method="ivfflat", options={}, keys=keys)
    assert differences(Index("ix", "embedding", postgresql_using="ivfflat"), stored) == []


def test_an_invalid_index_is_to_be_built_again():
    assert differences(HNSW().index("embedding", name="ix"), replace(STORED, valid=False)) == ["INVALID to valid"]


def test_another_key_is_a_difference():
    index = Index("ix", "id", postgresql_using="hnsw", postgresql_ops={"id": "vector_cosine_ops"})
    assert differences(index) == ["keys ['embedding'] to ['id']"]


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        ("(embedding)::halfvec(3)", "CAST(embedding AS HALFVEC(3))"),
        ("embedding::ext.halfvec(3)", '("embedding"::halfvec( 3 )) halfvec_l2_ops'),
        ("binary_quantize(embedding)::bit(3)", "CAST(binary_quantize(embedding) AS BIT(3))"),
        ('((a)::"bit" || (b)::"bit")::bit(6)', "CAST(a || b AS BIT(6))"),
        ("((a)::real[])::vector(3)", "CAST(CAST(a AS REAL[]) AS VECTOR(3))"),
        ("((a)::double precision[])::vector(3)", "CAST(CAST(a AS DOUBLE PRECISION[]) AS VECTOR(3))"),
        ('embedding::"Of extensions".halfvec(3)', "CAST(embedding AS HALFVEC(3))"),
        ('binary_quantize("100%")::bit(3)', 'CAST(binary_quantize("100%%") AS BIT(3))'),
        ("(a::vector(3) + (b)::vector(3))", "CAST(CAST(a AS VECTOR(3)) + CAST(b AS VECTOR(3)) AS VECTOR(3))"),
    ],
)
def test_expressions_compare_however_they_are_written(stored, wanted):
    assert _bare([stored]) == _bare([wanted])


@pytest.mark.parametrize(("dimension", "expected"), [(3, []), (4, ["cast [('halfvec', 3)] to [('halfvec', 4)]"])])
def test_the_type_that_an_expression_casts_to_counts(dimension, expected):
    keys = [
        {
            "column": None,
            "expression": "(embedding::halfvec(3))",
            "opclass": "halfvec_l2_ops",
            "is_default": False,
        }
    ]

    def index(table):
        key = cast(table.c.embedding, HalfVector(dimension)).label("half")
        return Index("ix", key, postgresql_using="hnsw", postgresql_ops={"half": "halfvec_l2_ops"})

    assert differences(index, replace(STORED, keys=keys), attach=True) == expected


def test_casts_are_found_however_they_are_written():
    assert cast_types("CAST(e AS HALFVEC(3))") == cast_types("((e)::halfvec( 3 ))") == [("halfvec", 3)]
    assert cast_types("(binary_quantize(e))::bit(8)") == [("bit", 8)]
    # As the server writes it where quote_all_identifiers is on.
    assert cast_types('(("e")::"public"."vector"(3))') == [("vector", 3)]
    assert cast_types("lower(name)") == []


def test_the_removal_of_an_index_is_restored_with_every_option():
    stored = replace(STORED, schema="rag", predicate="(id > 5)")
    context = MigrationContext.configure(dialect=psycopg.dialect())
    downgrade = UpgradeOps([stored.removal()]).reverse()
    code = render_python_code(downgrade, migration_context=context)
    for expected in (
        "op.create_index('ix', 'articles', ['embedding'], unique=False, schema='rag'",
        "postgresql_using='hnsw'",
        "postgresql_with={'m': '16', 'ef_construction': '64'}",
        "postgresql_ops={'embedding': 'vector_cosine_ops'}",
        "postgresql_where=sa.text('(id > 5)')",
    ):
        assert expected in code


def test_a_unique_index_is_restored_as_one():
    assert replace(STORED, method="btree", is_unique=True).creation().to_index().unique


def test_an_expression_keeps_its_operator_class_when_restored():
    keys = [{"column": None, "expression": "embedding::vector(3)", "opclass": "vector_l2_ops", "is_default": False}]
    context = MigrationContext.configure(dialect=psycopg.dialect())
    code = render_python_code(UpgradeOps([replace(STORED, keys=keys).creation()]), migration_context=context)
    assert ".label('key_1')" in code
    assert "postgresql_ops={'key_1': 'vector_l2_ops'}" in code
