"""Metadata keys of a collection that have an index of their own.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# The indexes of keys: without the column nobody would know what they are for. A collection that is re-embedded has some
# of its next table, too.
DROP_INDEXES = """
DO $$
DECLARE made regclass;
BEGIN
    FOR made IN
        SELECT i.oid FROM {collections} c JOIN pg_class own ON own.oid = c.tableoid
          JOIN pg_class t ON t.relnamespace = own.relnamespace
           AND t.relname IN ('documents_' || c.id, 'documents_' || c.id || '_next')
          JOIN pg_index x ON x.indrelid = t.oid
          JOIN pg_class i ON i.oid = x.indexrelid AND starts_with(i.relname, 'ix_' || t.relname || '_key_')
    LOOP
        EXECUTE 'DROP INDEX ' || made;
    END LOOP;
END
$$
"""


def upgrade() -> None:
    keys = sa.Column("indexed_keys", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False)
    op.add_column("collections", keys, schema=op.get_context().version_table_schema)


def downgrade() -> None:
    schema = op.get_context().version_table_schema
    quoted = "" if schema is None else f"{postgresql.dialect().identifier_preparer.quote(schema)}."
    # First, as everybody reads it first: who has read it and goes on to search would be in a deadlock with this.
    for statement in ("LOCK TABLE {collections}", DROP_INDEXES):
        # A quoted name has its % doubled already.
        op.execute(sa.DDL(statement.replace("%", "%%").format(collections=f"{quoted}collections")))
    op.drop_column("collections", "indexed_keys", schema=schema)
