"""The service layer: owns the transactions and the embedder, and accepts and returns pydantic models.

Thin on purpose: each method is one transaction around repository calls. Sync twins are generated from `_async`.
"""

from rowspace.services._async.documents import AsyncDocumentService
from rowspace.services._async.quick import AsyncQuickSearch
from rowspace.services._async.readiness import readiness as areadiness
from rowspace.services._async.searching import AsyncSearchService
from rowspace.services._sync.documents import DocumentService
from rowspace.services._sync.quick import QuickSearch
from rowspace.services._sync.readiness import readiness
from rowspace.services._sync.searching import SearchService
from rowspace.services.embedding import Embedder, embedder_name
from rowspace.services.models import (
    CollectionInfo,
    DocumentIn,
    DocumentOut,
    DocumentPage,
    Readiness,
    SearchFields,
    SearchHit,
    SearchRequest,
)

__all__ = [
    "AsyncDocumentService",
    "AsyncQuickSearch",
    "AsyncSearchService",
    "CollectionInfo",
    "DocumentIn",
    "DocumentOut",
    "DocumentPage",
    "DocumentService",
    "Embedder",
    "QuickSearch",
    "Readiness",
    "SearchFields",
    "SearchHit",
    "SearchRequest",
    "SearchService",
    "areadiness",
    "embedder_name",
    "readiness",
]
