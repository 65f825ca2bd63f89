from __future__ import annotations

import pytest

from rowspace import HNSW, Distance, IVFFlat
from rowspace.statements.admin import Partition

HERE = Partition(7, 384)
THERE = Partition(7, 384, "My schema")


def test_a_partition_is_made_apart_and_then_attached():
    create, storage, target, samples, attach = HERE.create()
    assert create == (
        "CREATE TABLE documents_7 (LIKE documents INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE, "
        "CONSTRAINT ck_documents_7_dimension CHECK (vector_dims(embedding) = 384), "
        "CONSTRAINT pk_documents_7 PRIMARY KEY (collection_id, id))"
    )
    assert storage == "ALTER TABLE documents_7 ALTER COLUMN embedding SET STORAGE MAIN"
    assert target == "ALTER TABLE documents_7 SET (toast_tuple_target = 3576)"
    assert samples == "ALTER TABLE documents_7 ALTER COLUMN metadata SET STATISTICS 500"
    assert attach == "ALTER TABLE documents ATTACH PARTITION documents_7 FOR VALUES IN (7)"


@pytest.mark.parametrize(("dimension", "target"), [(1, 2044), (2000, 8160), (2001, None)])
def test_vectors_that_an_index_can_hold_stay_in_their_rows(dimension, target):
    statements = [s for s in Partition(7, dimension).create() if "toast_tuple_target" in s]
    assert statements == ([f"ALTER TABLE documents_7 SET (toast_tuple_target = {target})"] if target else [])


def test_a_schema_is_quoted():
    assert THERE.create()[-1].startswith('ALTER TABLE "My schema".documents ATTACH PARTITION "My schema".documents_7 ')
    assert THERE.drop() == 'DROP TABLE IF EXISTS "My schema".documents_7'
    assert THERE.analyze() == 'ANALYZE "My schema".documents_7'


def test_indexes():
    metadata, text, embedding = HERE.create_indexes(HNSW(Distance.L2, m=8), "english")
    assert metadata == (
        "CREATE INDEX IF NOT EXISTS ix_documents_7_metadata ON documents_7 USING gin (metadata jsonb_path_ops)"
    )
    assert text.startswith(
        "CREATE INDEX IF NOT EXISTS ix_documents_7_text ON documents_7 USING gin (to_tsvector('english'::regconfig, "
    )
    assert embedding == (
        "CREATE INDEX IF NOT EXISTS ix_documents_7_embedding ON documents_7 "
        "USING hnsw ((embedding::vector(384)) vector_l2_ops) WITH (m = 8, ef_construction = 64)"
    )
    assert HERE.create_indexes(IVFFlat(lists=5), "simple")[2].endswith(
        "USING ivfflat ((embedding::vector(384)) vector_cosine_ops) WITH (lists = 5)"
    )
    assert len(HERE.create_indexes(None, "simple")) == 2


def test_a_language_stays_inside_its_literal():
    assert "to_tsvector('it''s''); --'::regconfig, " in HERE.create_indexes(None, "it's'); --")[1]


@pytest.mark.parametrize("identity", ["7; DROP TABLE x", 7.5])
def test_an_id_is_a_number(identity):
    with pytest.raises(ValueError, match="Unknown format code 'd'"):
        Partition(identity, 3).create()
