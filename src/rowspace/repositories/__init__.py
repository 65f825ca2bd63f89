"""Repositories: the I/O of searching and writing, in the caller's session. Sync twins are generated from `_async`."""

from rowspace.repositories._async.building import AsyncIndexBuilder
from rowspace.repositories._async.collections import AsyncCollectionRepository
from rowspace.repositories._async.documents import AsyncDocumentRepository
from rowspace.repositories._async.models import AsyncRepository
from rowspace.repositories._sync.building import IndexBuilder
from rowspace.repositories._sync.collections import CollectionRepository
from rowspace.repositories._sync.documents import DocumentRepository
from rowspace.repositories._sync.models import Repository

__all__ = [
    "AsyncCollectionRepository",
    "AsyncDocumentRepository",
    "AsyncIndexBuilder",
    "AsyncRepository",
    "CollectionRepository",
    "DocumentRepository",
    "IndexBuilder",
    "Repository",
]
