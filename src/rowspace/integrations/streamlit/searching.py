"""The searches of the application: by meaning, by both, by keyword, and by meaning but not all alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.orm import Session

from rowspace.models import Collection
from rowspace.repositories import CollectionRepository, DocumentRepository, HybridRepository, SearchRepository
from rowspace.services import CollectionInfo, Embedder, SearchHit, embedder_name
from rowspace.services.embedding import check_embedder, embed_query

__all__ = ["MODES", "Mode", "Query", "found", "modes_for", "unlike"]

Mode = Literal["vector", "hybrid", "text", "mmr"]

#: What a mode is called on the page.
MODES: dict[Mode, str] = {"vector": "Meaning", "hybrid": "Hybrid", "text": "Keywords", "mmr": "Variety"}


@dataclass(frozen=True, slots=True)
class Query:
    """One search: what is looked for, how many hits, by which mode, under which filter.

    `variety` is for the mode `mmr`: 0 for the nearest alone, 1 for variety alone.
    """

    text: str
    k: int = 10
    mode: Mode = "vector"
    filter: dict[str, Any] | None = None
    variety: float = 0.5


def unlike(collection: CollectionInfo, embedder: Embedder | None, *, empty: bool) -> str | None:
    """Return in a sentence why texts cannot be compared with a collection by meaning; None where they can."""
    name = repr(collection.name)
    if embedder is None:
        return "There is no embedder, so the search is by keyword. Start with --embedder."
    if collection.embedder is None and not empty:
        return f"{name} holds vectors that were loaded as such, so the search is by keyword."
    mine = embedder_name(embedder)
    if collection.embedder not in {None, mine}:
        return f"{name} was filled by the embedder {collection.embedder!r}, this one is {mine!r}: search by keyword."
    return None


def modes_for(reason: str | None) -> list[Mode]:
    """Return the modes on offer, given what `unlike` said."""
    return [*MODES] if reason is None else ["text"]


def found(session: Session, name: str, query: Query, embedder: Embedder | None) -> list[SearchHit]:
    """Return the hits of a search, best first; for variety in the order of their choice.

    Raises:
        CollectionNotFound: there is no such collection.
        EmbedderMismatch, ConfigurationError: it was filled by another embedder; there is none.
        InvalidFilter, InvalidText: the filter or the text cannot be.
    """
    collection = CollectionRepository(session).get(name)
    hits = _hits(session, collection, query, embedder)
    return [SearchHit.from_hit(rank, hit) for rank, hit in enumerate(hits, 1)]


def _hits(session: Session, collection: Collection, query: Query, embedder: Embedder | None) -> list[Any]:
    options: dict[str, Any] = {"where": query.filter}
    if query.mode == "text":
        return [*HybridRepository(session, collection).text(query.text, query.k, highlight=True, **options)]
    check_embedder(collection, embedder)
    vector = embed_query(embedder, query.text)
    if query.mode == "hybrid":
        by_both = HybridRepository(session, collection)
        return [*by_both.hybrid(query.text, vector, query.k, highlight=True, **options)]
    if query.mode == "mmr":
        options["lambda_mult"] = 1 - query.variety
        return [*SearchRepository(session, collection).diverse(vector, query.k, **options)]
    return [*DocumentRepository(session, collection).nearest(vector, query.k, **options)]
