"""The extension, collections, and documents partitioned by collection.

Revision ID: 0001
Revises: none, it is the first
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from rowspace.types import Vector

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    schema = op.get_context().version_table_schema
    op.create_extension("vector")
    op.create_table(
        "collections",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column("distance", sa.Text(), server_default="cosine", nullable=False),
        sa.Column("language", sa.Text(), server_default="simple", nullable=False),
        sa.Column("index", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("embedder", sa.Text(), nullable=True),
        *_metadata_and_timestamps(),
        sa.CheckConstraint("dimension between 1 and 16000", name=op.f("ck_collections_dimension")),
        sa.CheckConstraint(
            "distance in ('l2', 'cosine', 'inner_product', 'l1')",
            name=op.f("ck_collections_distance"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collections")),
        sa.UniqueConstraint("name", name=op.f("uq_collections_name")),
        schema=schema,
    )
    op.create_table(
        "documents",
        sa.Column("collection_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        # Without a dimension: the check constraint of each partition sets it.
        sa.Column("embedding", Vector(), nullable=False),
        *_metadata_and_timestamps(),
        sa.PrimaryKeyConstraint("collection_id", "id", name=op.f("pk_documents")),
        schema=schema,
        postgresql_partition_by="LIST (collection_id)",
    )


def downgrade() -> None:
    schema = op.get_context().version_table_schema
    # In the order in which transactions read them, to avoid a deadlock with one that has only read the first.
    op.drop_table("collections", schema=schema)
    # Also drops the partitions. The extension remains: other tables of this database may use its types, and a role
    # that may not create it could not upgrade again.
    op.drop_table("documents", schema=schema)


def _metadata_and_timestamps() -> list[sa.Column]:
    return [
        sa.Column("metadata", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
    ]
