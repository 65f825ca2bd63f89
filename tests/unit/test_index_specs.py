from __future__ import annotations

import logging

import pytest
from sqlalchemy import Column, Index, Integer, MetaData, Table, cast, func
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex

from rowspace import HNSW, Bit, Distance, HalfVector, IVFFlat, SparseVector, Vector
from rowspace.errors import ConfigurationError
from rowspace.indexes import declared_index, from_dict, to_dict
from rowspace.models.base import NAMING_CONVENTION
from rowspace.repositories.naming import check_collection


def table(type_, *specs, **options):
    indexes = [
        spec.index("embedding", name=f"ix_{number}" if len(specs) > 1 else None, **options)
        for number, spec in enumerate(specs)
    ]
    columns = [Column("id", Integer), Column("embedding", type_)]
    return Table("articles", MetaData(naming_convention=NAMING_CONVENTION), *columns, *indexes)


def ddl(type_, spec, **options):
    (index,) = table(type_, spec, **options).indexes
    return str(CreateIndex(index).compile(dialect=postgresql.dialect()))


@pytest.mark.parametrize(
    ("type_", "spec", "expected"),
    [
        (Vector(384), HNSW(), "hnsw (embedding vector_cosine_ops) WITH (m = 16, ef_construction = 64)"),
        (Vector(8), IVFFlat("l2", 7), "ivfflat (embedding vector_l2_ops) WITH (lists = 7)"),
        (
            Vector(8),
            IVFFlat("l2", quantize="bit"),
            "ivfflat (CAST(binary_quantize(embedding) AS BIT(8)) bit_hamming_ops)",
        ),
        (Vector(2001), IVFFlat(), "ivfflat (CAST(embedding AS HALFVEC(2001)) halfvec_cosine_ops)"),
        (Vector(8), IVFFlat(quantize="halfvec"), "ivfflat (CAST(embedding AS HALFVEC(8)) halfvec_cosine_ops)"),
        (HalfVector(4000), IVFFlat("inner_product"), "ivfflat (embedding halfvec_ip_ops)"),
        (
            HalfVector(9),
            IVFFlat(quantize="bit"),
            "ivfflat (CAST(binary_quantize(embedding) AS BIT(9)) bit_hamming_ops)",
        ),
        (Bit(64), IVFFlat("hamming"), "ivfflat (embedding bit_hamming_ops)"),
        (Vector(8), IVFFlat(where="id > 3"), "ivfflat (embedding vector_cosine_ops) WHERE id > 3"),
    ],
)
def test_an_index_on_a_model(type_, spec, expected):
    assert ddl(type_, spec) == f"CREATE INDEX ix_articles_embedding ON articles USING {expected}"


@pytest.mark.parametrize(
    ("type_", "spec", "words"),
    [
        (Vector(4001), HNSW(), 'at most 4000 dimensions of halfvec, got 4001. Alternatives: quantize="bit"'),
        (Vector(4001), HNSW(quantize="halfvec"), "at most 4000 dimensions of halfvec"),
        (HalfVector(4001), HNSW(), 'quantize="bit"'),
        (HalfVector(8), HNSW(quantize="halfvec"), "quantize must be bit for halfvec"),
        (Bit(8), HNSW("hamming", quantize="bit"), "quantize must be None for bit"),
        (Vector(8), IVFFlat("l1"), "use HNSW"),
        (SparseVector(8), IVFFlat(), "use HNSW"),
        (Vector(8), HNSW("hamming"), "hamming distance has no operator class for 'vector'"),
        (Vector(), HNSW(), "Vector(384)"),
        (Integer(), HNSW(), "needs a vector column"),
    ],
)
def test_what_cannot_be_indexed_is_refused_with_the_ways_out(type_, spec, words):
    with pytest.raises(ConfigurationError) as error:
        table(type_, spec)
    assert words in str(error.value)


def test_halfvec_above_2000_dimensions_is_chosen_and_said(caplog):
    with caplog.at_level(logging.INFO, logger="rowspace.indexes"):
        spec = HNSW().fit("vector", 2_001)
    assert spec == HNSW(quantize="halfvec")
    assert caplog.messages == [
        "2001 dimensions exceed the 2000 that hnsw can index as vector: the index is built on halfvec."
    ]
    assert HNSW().fit("vector", 2_000) == HNSW()


def test_a_collection_gets_the_specification_that_will_be_built():
    assert check_collection("a", 3_072, "cosine", "hnsw")[1] == HNSW(quantize="halfvec")
    assert check_collection("a", 16_000, "cosine", HNSW(quantize="bit"))[1] == HNSW(quantize="bit")
    with pytest.raises(ConfigurationError, match="metadata filter"):
        check_collection("a", 8, "cosine", HNSW(where="true"))


def test_a_model_wants_a_condition_and_not_a_metadata_filter():
    with pytest.raises(ConfigurationError, match="Expected a condition on columns as where"):
        HNSW(where={"lang": "en"}).index("embedding")


@pytest.mark.parametrize("value", ["int8", "vector", 1])
def test_quantize_is_one_of_two(value):
    with pytest.raises(ConfigurationError, match="'halfvec' or 'bit'"):
        HNSW(quantize=value)


@pytest.mark.parametrize("value", [5, True, b"id > 3", ["id > 3"], " "])
def test_where_is_a_condition_or_a_filter(value):
    with pytest.raises(ConfigurationError, match="where must be a condition, its SQL"):
        IVFFlat(where=value)


@pytest.mark.parametrize(
    "spec", [HNSW(), HNSW("l2", 8, 32, quantize="bit"), IVFFlat(), IVFFlat(lists=3, where={"lang": "en"})]
)
def test_a_specification_comes_back_from_json(spec):
    restored = from_dict({**to_dict(spec), "tuning": {"k": 10}})
    assert restored == spec
    assert restored.where == spec.where


def test_the_declared_index_tells_distance_and_quantization():
    assert declared_index(table(Vector(8)), "embedding") == (None, None)
    assert declared_index(table(Vector(8), IVFFlat("l2")), "embedding") == (Distance.L2, None)
    assert declared_index(table(Vector(8), HNSW("l1", quantize="bit")), "embedding") == (Distance.L1, "bit")


def test_full_numbers_count_before_fewer():
    both = table(Vector(8), HNSW(quantize="bit"), HNSW())
    assert declared_index(both, "embedding") == (Distance.COSINE, None)


def test_an_index_made_by_hand_is_understood():
    found = table(Vector(8))
    half = cast(found.c.embedding, HalfVector(8)).label("embedding")
    Index("half", half, postgresql_using="hnsw", postgresql_ops={"embedding": "halfvec_l2_ops"})
    assert declared_index(found, "embedding") == (Distance.L2, "halfvec")
    found = table(Vector(8))
    bits = cast(func.binary_quantize(found.c.embedding), Bit(8)).label("embedding")
    Index("bits", bits, postgresql_using="hnsw", postgresql_ops={"embedding": "bit_hamming_ops"})
    assert declared_index(found, "embedding") == (None, "bit")


def test_several_distances_must_be_told_apart():
    both = table(Vector(8), HNSW("l2"), HNSW("cosine"))
    with pytest.raises(ConfigurationError, match="cosine, l2"):
        declared_index(both, "embedding")
