from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import Column, Index, Integer, MetaData, Table, text

from rowspace import HNSW, IVFFlat, Vector
from rowspace.errors import ConfigurationError, InvalidSetting
from rowspace.models import Document
from rowspace.repositories.building import clustering, creation, removal, renewal, repair
from rowspace.repositories.keys import key_of
from rowspace.statements.catalog import IndexFact, progress_of, statuses
from rowspace.statements.indexing import PlannedIndex, Shape, build_settings, clustered, planned, planned_vector

PLAN = PlannedIndex("Ix", "docs", planned_vector(HNSW(quantize="bit"), 8), "s")
DEFINITION = "CREATE INDEX ... USING hnsw (((binary_quantize(embedding))::bit(8)) bit_hamming_ops)"
OPTIONS = ("m=16", "ef_construction=64")


def fact(name="Ix", **changes):
    values = {"definition": DEFINITION, "opclass": "bit_hamming_ops", "options": OPTIONS} | changes
    return IndexFact("s", "docs", name, "hnsw", **values)


def test_the_statements_of_an_index():
    definition = "hnsw ((binary_quantize(embedding)::bit(8)) bit_hamming_ops) WITH (m = 16, ef_construction = 64)"
    assert PLAN.create() == f'CREATE INDEX "Ix" ON s.docs USING {definition}'
    assert PLAN.create(concurrently=True, if_not_exists=True) == (
        f'CREATE INDEX CONCURRENTLY IF NOT EXISTS "Ix" ON s.docs USING {definition}'
    )
    assert PLAN.drop() == 'DROP INDEX IF EXISTS s."Ix"'
    assert PLAN.drop(concurrently=True) == 'DROP INDEX CONCURRENTLY IF EXISTS s."Ix"'
    assert PLAN.reindex(concurrently=True) == 'REINDEX INDEX CONCURRENTLY s."Ix"'


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (IVFFlat(), "ivfflat ((embedding::vector(8)) vector_cosine_ops)"),
        (IVFFlat("l2", quantize="halfvec"), "ivfflat ((embedding::halfvec(8)) halfvec_l2_ops)"),
        (
            IVFFlat(where={"it's": "9%"}),
            """ivfflat ((embedding::vector(8)) vector_cosine_ops) WHERE metadata @> CAST('{"it''s": "9%"}' AS JSONB)""",
        ),
    ],
)
def test_the_definition_for_a_collection(spec, expected):
    assert planned_vector(spec, 8) == expected


def test_the_index_of_a_model():
    columns = [Column("id", Integer), Column("embedding", Vector(8))]
    table = Table("t", MetaData(), *columns, HNSW("l1", where="id % 2 = 0").index("embedding", name="x"))
    (index,) = table.indexes
    assert planned(index, "s").create() == (
        "CREATE INDEX x ON s.t USING hnsw (embedding vector_l1_ops) WITH (m = 16, ef_construction = 64) "
        "WHERE id % 2 = 0"
    )
    quoting = Table("t", MetaData(), Column("id", Integer), Index("z", "id", postgresql_where=text("a <> ' USING b'")))
    assert planned(next(iter(quoting.indexes))).create().endswith(" WHERE a <> ' USING b'")
    named = Table("t", MetaData(), Column("id", Integer), Index("An index", "id"))
    assert planned(next(iter(named.indexes))).create() == 'CREATE INDEX "An index" ON t USING btree (id)'
    plain = Table("t", MetaData(), Column("id", Integer), Index("y", "id", unique=True))
    assert planned(next(iter(plain.indexes))).create() == "CREATE UNIQUE INDEX y ON t USING btree (id)"
    with pytest.raises(ConfigurationError, match="has no table"):
        planned(Index("x", "id"))
    unnamed = Table("t", MetaData(naming_convention={"pk": "pk_%(table_name)s"}), Column("id", Integer, index=True))
    with pytest.raises(ConfigurationError, match="An index of t has no name"):
        planned(next(iter(unnamed.indexes)))


def test_lists_come_before_the_condition():
    plan = PlannedIndex("x", "t", planned_vector(IVFFlat(where={"a": 1}), 8))
    assert plan.unsized
    sized = plan.sized(5_000)
    assert " WITH (lists = 5) WHERE metadata @> " in sized.definition
    assert not sized.unsized


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        ({"options": ()}, []),
        ({"options": ("m=8", "ef_construction=64")}, ["m is 8, not 16"]),
        ({"partial": True}, ["condition is there, not absent"]),
        (
            {"definition": "(embedding)::vector(8)", "opclass": "vector_l2_ops"},
            ["operator class is vector_l2_ops, not bit_hamming_ops", "cast is vector(8), not bit(8)"],
        ),
        # As the server writes it where quote_all_identifiers is on.
        (
            {"definition": '(("embedding")::"public"."vector"(8))', "opclass": "vector_l2_ops"},
            ["operator class is vector_l2_ops, not bit_hamming_ops", "cast is vector(8), not bit(8)"],
        ),
    ],
)
def test_how_an_index_differs(changes, words):
    assert fact(**changes).shape.differences(PLAN.shape) == words


def test_an_index_of_some_rows_is_not_that_of_all():
    some = PlannedIndex("Ix", "docs", planned_vector(HNSW(quantize="bit", where={"a": 1}), 8), "s")
    assert fact(partial=True).shape.differences(some.shape) == []
    assert fact().shape.differences(some.shape) == ["condition is absent, not there"]


def test_another_method_is_one_difference():
    assert Shape("ivfflat", "o", None, {"lists": "3"}).differences(Shape("hnsw", "o", None, {"m": "9"})) == [
        "method is ivfflat, not hnsw"
    ]


def test_status_of_what_is_there_and_what_is_missing():
    wanted = [PLAN, PlannedIndex("m", "docs", "gin (a)")]
    there, stranger, missing = statuses([fact(is_valid=False), fact("other")], wanted)
    assert (there.state, there.wanted, there.fits) == ("invalid", True, False)
    assert (stranger.wanted, stranger.fits) == (False, False)
    assert (missing.name, missing.state, missing.method) == ("m", "missing", "gin")
    assert fact(is_valid=False, is_building=True).state == "building"


def statements(steps):
    return [step.statement.partition(" USING")[0] for step in steps]


def test_what_creation_does():
    assert statements(creation([PLAN], [], concurrently=True)) == [
        'CREATE INDEX CONCURRENTLY "Ix" ON s.docs',
        "ANALYZE s.docs",
    ]
    assert creation([PLAN], [fact()], concurrently=True) == []
    left = [fact(is_valid=False), fact("Ix_ccnew1", is_valid=False), fact("Ix_ccnewer", is_valid=False)]
    assert statements(creation([PLAN], left, concurrently=False)) == [
        'DROP INDEX CONCURRENTLY IF EXISTS s."Ix_ccnew1"',
        'DROP INDEX IF EXISTS s."Ix"',
        'CREATE INDEX "Ix" ON s.docs',
        "ANALYZE s.docs",
    ]
    with pytest.raises(ConfigurationError, match="Another session is building"):
        creation([PLAN], [fact(is_valid=False, is_building=True)], concurrently=True)
    with pytest.raises(ConfigurationError, match=r"its m is 9, not 16\. Call drop"):
        creation([PLAN], [fact(options=["m=9"])], concurrently=True)


def test_what_repair_does():
    assert repair([PLAN], [], concurrently=True) == []
    assert repair([PLAN], [fact(), fact("foreign", is_valid=False)], concurrently=True) == []
    assert statements(repair([PLAN], [fact(is_valid=False)], concurrently=True)) == [
        'DROP INDEX CONCURRENTLY IF EXISTS s."Ix"',
        'CREATE INDEX CONCURRENTLY "Ix" ON s.docs',
        "ANALYZE s.docs",
    ]


def test_repair_drops_what_a_build_of_an_index_on_a_key_left():
    left = [
        fact("ix_documents_7_key_a", is_valid=False),
        fact("ix_documents_7_key_b"),
        fact("ix_docs_key", is_valid=False),
    ]
    assert statements(repair([PLAN], left, concurrently=True)) == [
        "DROP INDEX CONCURRENTLY IF EXISTS s.ix_documents_7_key_a"
    ]
    wanted = PlannedIndex("ix_documents_7_key_a", "docs", "btree ((a))", "s")
    assert statements(repair([wanted], left, concurrently=True))[1:] == [
        "CREATE INDEX CONCURRENTLY ix_documents_7_key_a ON s.docs",
        "ANALYZE s.docs",
    ]


def test_only_vector_indexes_are_dropped_and_rebuilt_unless_named():
    by_text = PlannedIndex("t", "docs", "gin (a)")
    assert statements(removal([PLAN, by_text], [], (), concurrently=False)) == ['DROP INDEX IF EXISTS s."Ix"']
    assert statements(removal([PLAN, by_text], [], ("t",), concurrently=False)) == ["DROP INDEX IF EXISTS t"]
    assert statements(renewal([PLAN, by_text], [fact()], (), concurrently=False)) == ['REINDEX INDEX s."Ix"']


def test_a_column_may_be_called_as_an_operator_class():
    table = Table("t", MetaData(), Column("dev_ops", Vector(3)), HNSW("l2").index("dev_ops", name="ix"))
    (index,) = table.indexes
    assert planned(index).shape.opclass == "vector_l2_ops"


def test_a_table_in_the_order_of_a_key():
    begin, lock, index, cluster, drop, commit, analyze = clustered("Docs", "s", key_of(Document, "it's.50%"))
    number = "jsonb_typeof(metadata #> ARRAY['it''s', '50%']) = 'number'"
    assert (begin, commit, analyze) == ("BEGIN", "COMMIT", 'ANALYZE s."Docs"')
    assert 'LOCK TABLE s."Docs" IN ACCESS EXCLUSIVE MODE' in lock
    assert index.startswith(f'CREATE INDEX "ix_Docs_rowspace_order" ON s."Docs" USING btree ((CASE WHEN ({number} AND ')
    assert index.endswith(", (left(metadata #>> ARRAY['it''s', '50%'], 200)))")
    assert cluster == 'CLUSTER s."Docs" USING "ix_Docs_rowspace_order"'
    assert drop == 'DROP INDEX IF EXISTS s."ix_Docs_rowspace_order"'


def test_clustering_builds_nothing_that_could_be_left_invalid():
    steps = clustering([PLAN], [], key_of(Document, "a"))
    assert [step.builds for step in steps] == [False] * 7
    assert "USING btree ((created_at))" in clustering([PLAN], [], key_of(Document, Document.created_at))[2].statement


@pytest.mark.parametrize("memory", ["1GB", "512 MB", "64kB"])
def test_build_settings(memory):
    assert build_settings(memory, 0)[2:] == [
        f"SET maintenance_work_mem = '{memory}'",
        "SET max_parallel_maintenance_workers = 0",
    ]
    assert build_settings(None, np.int64(2))[2:] == ["SET max_parallel_maintenance_workers = 2"]
    assert build_settings(None, 1_024)[2:] == ["SET max_parallel_maintenance_workers = 1024"]
    assert build_settings(None, None) == ["SET statement_timeout = 0", "SET lock_timeout = 0"]


@pytest.mark.parametrize(
    "memory", ["1", "1gb", "-1GB", "0MB", "1GB\n", "1GB'; DROP TABLE a; --", "GB", "1 G B", "", 1024]
)
def test_memory_is_a_number_with_a_unit(memory):
    with pytest.raises(InvalidSetting, match="a number with kB, MB, GB or TB"):
        build_settings(memory, None)


@pytest.mark.parametrize("workers", [-1, 1_025, True, "2", 1.0])
def test_workers_are_a_whole_number(workers):
    with pytest.raises(InvalidSetting, match="from 0 to 1024"):
        build_settings(None, workers)


@pytest.mark.parametrize(
    ("row", "phase", "percent"),
    [
        (None, "waiting", None),
        ({"phase": "a", "blocks_done": 1, "blocks_total": 4, "tuples_done": 9, "tuples_total": 0}, "a", 25.0),
        ({"phase": "a", "blocks_done": 4, "blocks_total": 4, "tuples_done": 1, "tuples_total": 2}, "a", 50.0),
        ({"phase": "a", "blocks_done": 0, "blocks_total": 0, "tuples_done": 0, "tuples_total": 0}, "a", None),
        ({"phase": "a", "blocks_done": 0, "blocks_total": 0, "tuples_done": 5, "tuples_total": 4}, "a", 100.0),
    ],
)
def test_progress(row, phase, percent):
    progress = progress_of("ix", row, 1.5)
    assert (progress.index, progress.phase, progress.percent, progress.seconds) == ("ix", phase, percent, 1.5)
