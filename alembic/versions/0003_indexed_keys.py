"""Metadata keys of a collection with their own index.

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

# Drops the indexes on keys: without the column, nothing would refer to them. During a re-embedding, the new table has
# such indexes too.
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
    # First, because all transactions read it first: one that has read it and starts a search would deadlock with this.
    for statement in ("LOCK TABLE {collections}", DROP_INDEXES):
        # In a quoted name, % is already doubled.
        op.execute(sa.DDL(statement.replace("%", "%%").format(collections=f"{quoted}collections")))
    op.drop_column("collections", "indexed_keys", schema=schema)
