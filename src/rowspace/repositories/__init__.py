"""Repositories: the I/O of searching and writing, in the caller's session. Sync twins are generated from `_async`."""

from rowspace.repositories._async.browse import AsyncBrowseRepository
from rowspace.repositories._async.collections import AsyncCollectionRepository
from rowspace.repositories._async.documents import AsyncDocumentRepository
from rowspace.repositories._async.hybrid import AsyncHybridRepository
from rowspace.repositories._async.models import AsyncRepository
from rowspace.repositories._sync.browse import BrowseRepository
from rowspace.repositories._sync.collections import CollectionRepository
from rowspace.repositories._sync.documents import DocumentRepository
from rowspace.repositories._sync.hybrid import HybridRepository
from rowspace.repositories._sync.models import Repository

__all__ = [
    "AsyncBrowseRepository",
    "AsyncCollectionRepository",
    "AsyncDocumentRepository",
    "AsyncHybridRepository",
    "AsyncRepository",
    "BrowseRepository",
    "CollectionRepository",
    "DocumentRepository",
    "HybridRepository",
    "Repository",
]
