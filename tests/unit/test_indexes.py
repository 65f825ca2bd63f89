from __future__ import annotations

import json

import numpy as np
import pytest
from sqlalchemy import Column, Integer, MetaData, Table, TypeDecorator
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex

from rowspace import HNSW, Bit, Distance, HalfVector, IVFFlat, SparseVector, Vector
from rowspace.errors import ConfigurationError
from rowspace.indexes import declared_index, from_dict, to_dict


class Listed(TypeDecorator):
    impl = Vector
    cache_ok = True


def table(type_, *indexes):
    return Table("t", MetaData(), Column("id", Integer, primary_key=True), Column("v", type_), *indexes)


def ddl(type_, index):
    table(type_, index)
    return str(CreateIndex(index).compile(dialect=postgresql.dialect()))


@pytest.mark.parametrize(
    ("type_", "spec", "expected"),
    [
        (Vector(3), HNSW(), "USING hnsw (v vector_cosine_ops) WITH (m = 16, ef_construction = 64)"),
        (
            HalfVector(4000),
            HNSW(Distance.L2, m=8, ef_construction=32),
            "USING hnsw (v halfvec_l2_ops) WITH (m = 8, ef_construction = 32)",
        ),
        (
            Bit(64000),
            HNSW(Distance.HAMMING),
            "USING hnsw (v bit_hamming_ops) WITH (m = 16, ef_construction = 64)",
        ),
        (
            SparseVector(30522),
            HNSW("inner_product"),
            "USING hnsw (v sparsevec_ip_ops) WITH (m = 16, ef_construction = 64)",
        ),
        (Vector(3), IVFFlat(lists=10), "USING ivfflat (v vector_cosine_ops) WITH (lists = 10)"),
        (Vector(3), IVFFlat(Distance.L2), "USING ivfflat (v vector_l2_ops)"),
    ],
)
def test_ddl(type_, spec, expected):
    assert ddl(type_, spec.index("v", name="ix")) == f"CREATE INDEX ix ON t {expected}"


def test_further_options_go_to_the_index():
    index = HNSW().index("v", name="ix", postgresql_where="id > 5", postgresql_concurrently=True)
    assert ddl(Vector(3), index).startswith("CREATE INDEX CONCURRENTLY ix ON t USING hnsw (v vector_cosine_ops) WITH")
    assert ddl(Vector(3), HNSW().index("v", name="ix", postgresql_where="id > 5")).endswith(" WHERE id > 5")


@pytest.mark.parametrize("where", ["meta @> '{\"draft\":true}'", "name = ':x'::text"])
def test_a_condition_as_sql_stays_as_it_is(where):
    assert ddl(Vector(3), HNSW(where=where).index("v", name="ix")).endswith(f" WHERE {where}")


@pytest.mark.parametrize(
    ("type_", "spec", "message"),
    [
        (Vector(4001), HNSW(), "hnsw indexes at most 4000 dimensions of halfvec, got 4001. Alternatives"),
        (HalfVector(4001), IVFFlat(), "ivfflat indexes at most 4000 dimensions of halfvec, got 4001"),
        (Bit(64001), HNSW(Distance.JACCARD), "at most 64000 dimensions of bit"),
        (Vector(1), IVFFlat(), "ivfflat does not index cosine distance of one dimension: use HNSW"),
        (HalfVector(1), IVFFlat("inner_product"), "ivfflat does not index inner_product distance of one dimension"),
        (Vector(), HNSW(), "without a dimension cannot be indexed"),
        (Integer(), HNSW(), "needs a vector column, got Integer"),
        (Listed(3), HNSW(), "needs a vector column, got Listed.* Make it a subclass of Vector with cache_ok = True"),
        (Vector(3), HNSW(Distance.HAMMING), "hamming distance has no operator class for 'vector'"),
    ],
)
def test_what_cannot_be_indexed_is_refused_when_the_table_is_built(type_, spec, message):
    with pytest.raises(ConfigurationError, match=message):
        table(type_, spec.index("v"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HNSW(m=1), "m must be from 2 to 100, got 1."),
        (lambda: HNSW(m=101), "m must be from 2 to 100, got 101."),
        (lambda: HNSW(m=40), "ef_construction must be from 80 to 1000, got 64."),
        (lambda: HNSW(m=2, ef_construction=3), "ef_construction must be from 4 to 1000, got 3."),
        (lambda: HNSW(m=True), "m must be from 2 to 100, got True."),
        (lambda: HNSW(m="16"), "m must be from 2 to 100, got '16'."),
        (lambda: IVFFlat(lists=0), "lists must be from 1 to 32768, got 0."),
        (lambda: IVFFlat(lists=32769), "lists must be from 1 to 32768, got 32769."),
    ],
)
def test_parameters_out_of_range(make, message):
    with pytest.raises(ConfigurationError) as refused:
        make()
    assert str(refused.value) == message


@pytest.mark.parametrize("spec", [None, HNSW(), HNSW(Distance.L1, m=4, ef_construction=9), IVFFlat(), IVFFlat("l2", 7)])
def test_json_round_trip(spec):
    assert from_dict(to_dict(spec)) == spec


def test_parameters_may_be_numpys():
    assert json.dumps(to_dict(HNSW(m=np.int64(8), ef_construction=np.int32(32)))) == json.dumps(
        to_dict(HNSW("cosine", 8, 32))
    )
    assert json.dumps(to_dict(IVFFlat(lists=np.int64(7)))) == json.dumps(to_dict(IVFFlat(lists=7)))


def test_json_form():
    assert to_dict(HNSW()) == {"method": "hnsw", "distance": "cosine", "m": 16, "ef_construction": 64}
    assert to_dict(None) == {}


@pytest.mark.parametrize(("rows", "lists"), [(0, 1), (999, 1), (50_000, 50), (1_000_000, 1_000), (4_000_000, 2_000)])
def test_lists_follow_the_rows(rows, lists):
    assert IVFFlat().sized(rows) == IVFFlat(lists=lists)
    assert IVFFlat(lists=3).sized(rows) == IVFFlat(lists=3)


@pytest.mark.parametrize("distance", ["l2", "cosine", "inner_product", "l1"])
def test_distance_of_an_indexed_column(distance):
    assert declared_index(table(Vector(3), HNSW(distance).index("v")), "v")[0] is Distance(distance)


def test_distance_of_bits_and_of_nothing():
    assert declared_index(table(Bit(3), HNSW(Distance.JACCARD).index("v")), "v")[0] is Distance.JACCARD
    assert declared_index(table(Vector(3)), "v")[0] is None
    assert declared_index(table(Vector(3), HNSW(Distance.L2).index("v")), "id")[0] is None


def test_two_distances_have_to_be_told_apart():
    both = table(Vector(3), HNSW(Distance.L2).index("v", name="a"), IVFFlat(Distance.COSINE).index("v", name="b"))
    with pytest.raises(ConfigurationError, match=r"t\.v is indexed by several distances \(cosine, l2\)"):
        declared_index(both, "v")
    assert declared_index(both, "v", Distance.L2) == (Distance.L2, None)
    assert declared_index(both, "v", Distance.COSINE) == (Distance.COSINE, None)


def test_two_indexes_by_one_distance_are_one():
    both = table(Vector(3), HNSW(Distance.L2).index("v", name="a"), IVFFlat(Distance.L2).index("v", name="b"))
    assert declared_index(both, "v")[0] is Distance.L2
