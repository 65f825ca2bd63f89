"""Repositories: searches and writes in the caller's session. The sync twins are generated from `_async`."""

from rowspace.repositories._async.advising import AsyncIndexAdvisor
from rowspace.repositories._async.analysis import AsyncAnalysisRepository
from rowspace.repositories._async.browse import AsyncBrowseRepository
from rowspace.repositories._async.building import AsyncIndexBuilder
from rowspace.repositories._async.collections import AsyncCollectionRepository
from rowspace.repositories._async.doctor import AsyncDoctor
from rowspace.repositories._async.documents import AsyncDocumentRepository
from rowspace.repositories._async.hybrid import AsyncHybridRepository
from rowspace.repositories._async.matrix import AsyncMatrixRepository
from rowspace.repositories._async.models import AsyncRepository
from rowspace.repositories._async.reembedding import AsyncReembedRepository
from rowspace.repositories._async.search import AsyncSearchRepository
from rowspace.repositories._async.tables import AsyncTableRepository
from rowspace.repositories._sync.advising import IndexAdvisor
from rowspace.repositories._sync.analysis import AnalysisRepository
from rowspace.repositories._sync.browse import BrowseRepository
from rowspace.repositories._sync.building import IndexBuilder
from rowspace.repositories._sync.collections import CollectionRepository
from rowspace.repositories._sync.doctor import Doctor
from rowspace.repositories._sync.documents import DocumentRepository
from rowspace.repositories._sync.hybrid import HybridRepository
from rowspace.repositories._sync.matrix import MatrixRepository
from rowspace.repositories._sync.models import Repository
from rowspace.repositories._sync.reembedding import ReembedRepository
from rowspace.repositories._sync.search import SearchRepository
from rowspace.repositories._sync.tables import TableRepository
from rowspace.repositories.naming import CollectionOptions
from rowspace.repositories.searches import SearchOptions
from rowspace.repositories.subjects import Where

__all__ = [
    "AnalysisRepository",
    "AsyncAnalysisRepository",
    "AsyncBrowseRepository",
    "AsyncCollectionRepository",
    "AsyncDoctor",
    "AsyncDocumentRepository",
    "AsyncHybridRepository",
    "AsyncIndexAdvisor",
    "AsyncIndexBuilder",
    "AsyncMatrixRepository",
    "AsyncReembedRepository",
    "AsyncRepository",
    "AsyncSearchRepository",
    "AsyncTableRepository",
    "BrowseRepository",
    "CollectionOptions",
    "CollectionRepository",
    "Doctor",
    "DocumentRepository",
    "HybridRepository",
    "IndexAdvisor",
    "IndexBuilder",
    "MatrixRepository",
    "ReembedRepository",
    "Repository",
    "SearchOptions",
    "SearchRepository",
    "TableRepository",
    "Where",
]
