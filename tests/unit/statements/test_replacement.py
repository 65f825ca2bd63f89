from __future__ import annotations

import pytest

from rowspace import HNSW
from rowspace.statements.admin import Partition
from rowspace.statements.replacement import Replacement

THERE = Replacement(Partition(7, 384, "My schema"), 512)
HERE = Replacement(Partition(7, 384), 512)


def test_the_new_table_has_the_new_dimension_and_is_not_attached():
    statements = HERE.begin()
    assert statements[0].startswith("CREATE TABLE documents_7_next (LIKE documents ")
    assert "CHECK (vector_dims(embedding) = 512)" in statements[0]
    assert not any("ATTACH" in statement for statement in statements)
    assert "GRANT INSERT ON documents_7_changes TO PUBLIC" in statements


def test_readers_are_locked_out_in_the_order_in_which_they_lock():
    timeout, *locks = THERE.locks()
    assert timeout == "SET LOCAL lock_timeout = 500"
    assert locks == [
        'LOCK TABLE "My schema".collections IN ACCESS EXCLUSIVE MODE',
        'LOCK TABLE ONLY "My schema".documents, ONLY "My schema".documents_7 IN ACCESS EXCLUSIVE MODE',
    ]


def test_the_swap_leaves_the_names_of_before():
    assert HERE.swap(HNSW(), "simple") == [
        "DROP TABLE documents_7, documents_7_changes",
        "ALTER TABLE documents_7_next RENAME TO documents_7",
        "ALTER TABLE documents_7 RENAME CONSTRAINT pk_documents_7_next TO pk_documents_7",
        "ALTER TABLE documents_7 RENAME CONSTRAINT ck_documents_7_next_dimension TO ck_documents_7_dimension",
        "ALTER INDEX IF EXISTS ix_documents_7_next_metadata RENAME TO ix_documents_7_metadata",
        "ALTER INDEX IF EXISTS ix_documents_7_next_text RENAME TO ix_documents_7_text",
        "ALTER INDEX IF EXISTS ix_documents_7_next_embedding RENAME TO ix_documents_7_embedding",
        "ALTER TABLE documents ATTACH PARTITION documents_7 FOR VALUES IN (7)",
        "ALTER TABLE documents_7 DROP CONSTRAINT ck_documents_7_next_collection",
    ]


def test_ids_are_parameters():
    bad = ["x'); DROP TABLE documents; --"]
    for statement in (HERE.unembedded(bad), *HERE.settle([(1, bad[0])])):
        assert "DROP" not in str(statement.compile())


def test_what_was_embedded_is_stored_for_the_same_content_only():
    stored = HERE.store("pg_temp.stage")
    assert "JOIN documents_7 o ON o.collection_id = 7 AND o.id = s.id AND o.content = s.content" in stored
    assert stored.startswith("INSERT INTO documents_7_next (")


def test_a_limit_is_a_number():
    with pytest.raises(ValueError, match="Unknown format code 'd'"):
        HERE.rest("1; DROP TABLE documents")
