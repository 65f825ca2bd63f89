"""Mixins for an application's models: an embedding, JSONB metadata, timestamps."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import DateTime, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from rowspace.types import Vector

__all__ = ["EmbeddingMixin", "MetadataMixin", "TimestampMixin"]


class EmbeddingMixin:
    """Adds `embedding`, a float32 vector of `__dimension__` numbers, loaded only when it is asked for."""

    __dimension__: ClassVar[int]

    @declared_attr
    def embedding(cls) -> Mapped[NDArray[np.float32]]:  # noqa: N805
        """Return the column."""
        return mapped_column(Vector(cls.__dimension__), deferred=True)


class MetadataMixin:
    """Adds `meta`, a JSONB object in the column `metadata` (that attribute name is taken by Declarative)."""

    #: A JSON object; `{}` by default.
    meta: Mapped[dict[str, Any]] = mapped_column(
        "metadata", JSONB(none_as_null=True), default=dict, server_default=text("'{}'")
    )


class TimestampMixin:
    """Adds `created_at` and `updated_at`, with time zone, set by the server."""

    # Fetched with each write: async code cannot load an attribute on access.
    __mapper_args__: ClassVar[dict[str, Any]] = {"eager_defaults": True}

    #: When the row was inserted.
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    #: When it was last changed.
    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), onupdate=func.now()
    )
