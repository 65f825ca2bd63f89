"""The service layer: owns the transaction and the embedder, takes and gives pydantic models.

Thin on purpose: each method is one transaction around repository calls. Sync twins are generated from `_async`.
"""

from rowspace.services._async.documents import AsyncDocumentService
from rowspace.services._sync.documents import DocumentService
from rowspace.services.embedding import Embedder, embedder_name
from rowspace.services.models import CollectionInfo, DocumentIn, DocumentOut, SearchHit, SearchRequest

__all__ = [
    "AsyncDocumentService",
    "CollectionInfo",
    "DocumentIn",
    "DocumentOut",
    "DocumentService",
    "Embedder",
    "SearchHit",
    "SearchRequest",
    "embedder_name",
]
