"""Declarative models: the base, mixins for an application's models, and the ready-made documents."""

from rowspace.models.base import Base
from rowspace.models.documents import Collection, Document, LoadProgress
from rowspace.models.mixins import EmbeddingMixin, MetadataMixin, TimestampMixin

__all__ = ["Base", "Collection", "Document", "EmbeddingMixin", "LoadProgress", "MetadataMixin", "TimestampMixin"]
