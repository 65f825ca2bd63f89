"""The ready-made documents: text, JSONB metadata and an embedding, in named collections.

`documents` is partitioned by collection. Each collection therefore has its own dimension, distance and indexes, and the
size of the others does not slow down its searches. `rowspace.repositories` creates and drops the partitions; the
migrations create the tables of this module.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
    inspect,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from rowspace.distance import Distance
from rowspace.models.base import Base
from rowspace.models.mixins import MetadataMixin, TimestampMixin
from rowspace.types import Vector

__all__ = ["Collection", "Document", "LoadProgress"]


class Collection(MetadataMixin, TimestampMixin, Base):
    """A named set of documents with one dimension, one distance and one embedder."""

    __tablename__ = "collections"
    __table_args__: Any = (
        UniqueConstraint("name"),
        CheckConstraint("dimension between 1 and 16000", name="dimension"),
        CheckConstraint("distance in ('l2', 'cosine', 'inner_product', 'l1')", name="distance"),
    )

    #: A number from the server, which is also in the name of its partition.
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    #: The name; unique.
    name: Mapped[str] = mapped_column(Text)
    #: The number of dimensions of its embeddings.
    dimension: Mapped[int]
    #: A value of `Distance`.
    distance: Mapped[str] = mapped_column(Text, server_default=Distance.COSINE.value)
    #: The text-search configuration, such as `simple` or `english`.
    language: Mapped[str] = mapped_column(Text, server_default="simple")
    #: The vector index, as `rowspace.indexes` writes it; `{}` means none.
    index: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    #: The name of the embedder that filled it; None until the first documents arrive with an embedder.
    embedder: Mapped[str | None] = mapped_column(Text)
    # Last, because a migration can only add columns at the end.
    #: The new `dimension`, `embedder` and `index` during a re-embedding, otherwise None.
    reembedding: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True), sort_order=999)
    #: Metadata keys with their own index in addition to that of the whole metadata, written as in a filter.
    indexed_keys: Mapped[list[str]] = mapped_column(JSONB, server_default=text("'[]'"), sort_order=1_000)

    def __repr__(self) -> str:
        # Reading an attribute that is not loaded runs a statement, which fails in async code and for a detached object.
        if inspect(self).unloaded & {"name", "dimension", "distance"} and inspect(self).identity is not None:
            return f"<Collection {inspect(self).identity}, not loaded>"
        return f"<Collection {self.name!r}: {self.dimension} dimensions, {self.distance}>"

    @property
    def metric(self) -> Distance:
        """The distance as an enum member."""
        return Distance(self.distance)

    @property
    def partition(self) -> str:
        """The name of the partition of `documents` that holds its rows."""
        return f"documents_{self.id}"


class Document(MetadataMixin, TimestampMixin, Base):
    """One text with its metadata and embedding. The same id in two collections is two rows."""

    __tablename__ = "documents"
    __table_args__: Any = (
        PrimaryKeyConstraint("collection_id", "id"),
        {"postgresql_partition_by": "LIST (collection_id)"},
    )

    # No foreign key: a row needs a partition anyway, and the check would slow down each row of a bulk load.
    #: The id of its `Collection`.
    collection_id: Mapped[int] = mapped_column(BigInteger)
    #: The caller's id, at most 2,600 bytes.
    id: Mapped[str] = mapped_column(Text)
    #: The text.
    content: Mapped[str] = mapped_column(Text)
    #: A float32 vector of the collection's dimension, loaded only when it is asked for.
    embedding: Mapped[NDArray[np.float32]] = mapped_column(Vector(), deferred=True)

    def __repr__(self) -> str:
        collection_id, id_ = inspect(self).identity or (self.collection_id, self.id)
        return f"<Document {id_!r} of collection {collection_id}>"


class LoadProgress(TimestampMixin, Base):
    """The progress of a resumable load. Written in the transaction of each batch, deleted at the end of the load."""

    __tablename__ = "collection_loads"

    collection_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey(Collection.id, ondelete="CASCADE"), primary_key=True
    )
    #: The caller's name for the load.
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    #: SHA-256 of the documents that were read so far, as hexadecimal text.
    digest: Mapped[str] = mapped_column(Text)
    #: The report so far, and whether the collection was empty before.
    state: Mapped[dict[str, Any]] = mapped_column(JSONB)
