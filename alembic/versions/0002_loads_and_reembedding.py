"""The progress of resumable loads, and the function and column for re-embedding a collection.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# The trigger function of a partition while its collection is re-embedded: records the ids of rows that change. It
# derives the name of the table, so one function serves all collections. It runs as the writing role, which may only
# insert there.
NOTE_CHANGE = """
CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        RAISE EXCEPTION '% is being re-embedded: delete its rows, or finish or abandon that first', TG_TABLE_NAME
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF TG_OP <> 'INSERT' THEN
        EXECUTE format('INSERT INTO %I.%I (id) VALUES ($1)', TG_TABLE_SCHEMA, TG_TABLE_NAME || '_changes')
            USING OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        EXECUTE format('INSERT INTO %I.%I (id) VALUES ($1)', TG_TABLE_SCHEMA, TG_TABLE_NAME || '_changes')
            USING NEW.id;
    END IF;
    RETURN NULL;
END
$$
"""

# Drops the tables of an unfinished re-embedding: without the column, nothing would refer to them.
DROP_UNFINISHED = """
DO $$
DECLARE made regclass;
BEGIN
    FOR made IN
        SELECT t.oid FROM {collections} c JOIN pg_class own ON own.oid = c.tableoid
          JOIN pg_class t ON t.relnamespace = own.relnamespace
           AND t.relname IN ('documents_' || c.id || '_next', 'documents_' || c.id || '_changes')
         WHERE c.reembedding IS NOT NULL
    LOOP
        EXECUTE 'DROP TABLE ' || made;
    END LOOP;
END
$$
"""


def upgrade() -> None:
    schema = op.get_context().version_table_schema
    op.add_column("collections", sa.Column("reembedding", postgresql.JSONB(), nullable=True), schema=schema)
    collections = "collections.id" if schema is None else f"{schema}.collections.id"
    op.create_table(
        "collection_loads",
        sa.Column("collection_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("state", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            [collections],
            name=op.f("fk_collection_loads_collection_id_collections"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("collection_id", "key", name=op.f("pk_collection_loads")),
        schema=schema,
    )
    _execute(NOTE_CHANGE, function=_in(schema, "documents_note_change"))


def downgrade() -> None:
    schema = op.get_context().version_table_schema
    # First, because all transactions read it first: one that has read it and starts a load would deadlock with this.
    _execute("LOCK TABLE {collections}", collections=_in(schema, "collections"))
    _execute(DROP_UNFINISHED, collections=_in(schema, "collections"))
    # Also drops the triggers of an unfinished re-embedding.
    _execute("DROP FUNCTION {function}() CASCADE", function=_in(schema, "documents_note_change"))
    op.drop_table("collection_loads", schema=schema)
    op.drop_column("collections", "reembedding", schema=schema)


def _execute(statement: str, **names: str) -> None:
    # In a quoted name, % is already doubled.
    op.execute(sa.DDL(statement.replace("%", "%%").format(**names)))


def _in(schema: str | None, name: str) -> str:
    return name if schema is None else f"{postgresql.dialect().identifier_preparer.quote(schema)}.{name}"
