"""Rowspace: the data access layer for PostgreSQL + pgvector.

The names below are the public face; each is imported when it is first asked for, so that a program pays only for
what it uses: models do not load the services' pydantic, services do not load an optional dependency.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rowspace.diagnosis import BuildProgress, Finding, IndexStatus, SearchPlan
    from rowspace.distance import Distance
    from rowspace.engine import AsyncDatabase, Database
    from rowspace.indexes import HNSW, IVFFlat
    from rowspace.models import Base, Collection, Document
    from rowspace.repositories import (
        AnalysisRepository,
        AsyncAnalysisRepository,
        AsyncBrowseRepository,
        AsyncCollectionRepository,
        AsyncDoctor,
        AsyncDocumentRepository,
        AsyncHybridRepository,
        AsyncIndexAdvisor,
        AsyncIndexBuilder,
        AsyncMatrixRepository,
        AsyncReembedRepository,
        AsyncRepository,
        AsyncSearchRepository,
        AsyncTableRepository,
        BrowseRepository,
        CollectionRepository,
        Doctor,
        DocumentRepository,
        HybridRepository,
        IndexAdvisor,
        IndexBuilder,
        MatrixRepository,
        ReembedRepository,
        Repository,
        SearchRepository,
        TableRepository,
    )
    from rowspace.results import (
        FacetCount,
        Group,
        Hit,
        HybridHit,
        LoadReport,
        Matrix,
        Page,
        Reembedded,
        Reject,
        Stats,
        TextHit,
    )
    from rowspace.services import AsyncDocumentService, DocumentIn, DocumentService, SearchHit, SearchRequest
    from rowspace.settings import SearchSettings
    from rowspace.statements.highlight import Highlight
    from rowspace.statements.hybrid import Fusion
    from rowspace.statements.text import text_vector
    from rowspace.tuning import Tuning
    from rowspace.types import Bit, HalfVector, SparseVector, Vector

__all__ = [
    "HNSW",
    "AnalysisRepository",
    "AsyncAnalysisRepository",
    "AsyncBrowseRepository",
    "AsyncCollectionRepository",
    "AsyncDatabase",
    "AsyncDoctor",
    "AsyncDocumentRepository",
    "AsyncDocumentService",
    "AsyncHybridRepository",
    "AsyncIndexAdvisor",
    "AsyncIndexBuilder",
    "AsyncMatrixRepository",
    "AsyncReembedRepository",
    "AsyncRepository",
    "AsyncSearchRepository",
    "AsyncTableRepository",
    "Base",
    "Bit",
    "BrowseRepository",
    "BuildProgress",
    "Collection",
    "CollectionRepository",
    "Database",
    "Distance",
    "Doctor",
    "Document",
    "DocumentIn",
    "DocumentRepository",
    "DocumentService",
    "FacetCount",
    "Finding",
    "Fusion",
    "Group",
    "HalfVector",
    "Highlight",
    "Hit",
    "HybridHit",
    "HybridRepository",
    "IVFFlat",
    "IndexAdvisor",
    "IndexBuilder",
    "IndexStatus",
    "LoadReport",
    "Matrix",
    "MatrixRepository",
    "Page",
    "ReembedRepository",
    "Reembedded",
    "Reject",
    "Repository",
    "SearchHit",
    "SearchPlan",
    "SearchRepository",
    "SearchRequest",
    "SearchSettings",
    "SparseVector",
    "Stats",
    "TableRepository",
    "TextHit",
    "Tuning",
    "Vector",
    "text_vector",
]

_MODULES = {
    "diagnosis": ["BuildProgress", "Finding", "IndexStatus", "SearchPlan"],
    "distance": ["Distance"],
    "engine": ["AsyncDatabase", "Database"],
    "indexes": ["HNSW", "IVFFlat"],
    "models": ["Base", "Collection", "Document"],
    "repositories": [name for name in __all__ if name.endswith(("Advisor", "Builder", "Doctor", "Repository"))],
    "results": [
        "FacetCount",
        "Group",
        "Hit",
        "HybridHit",
        "LoadReport",
        "Matrix",
        "Page",
        "Reembedded",
        "Reject",
        "Stats",
        "TextHit",
    ],
    "services": ["AsyncDocumentService", "DocumentIn", "DocumentService", "SearchHit", "SearchRequest"],
    "settings": ["SearchSettings"],
    "statements.highlight": ["Highlight"],
    "statements.hybrid": ["Fusion"],
    "statements.text": ["text_vector"],
    "tuning": ["Tuning"],
    "types": ["Bit", "HalfVector", "SparseVector", "Vector"],
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


if not TYPE_CHECKING:  # Which knows the names, and would let any other pass for one.

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            message = f"module 'rowspace' has no attribute {name!r}"
            raise AttributeError(message)
        value = getattr(import_module(f"rowspace.{_HOME[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
