"""One retrieval, as adapters ask for it: by vector, by keyword, by both, or by vector but not all alike.

It works in a sync session; the async side runs it by `Sides.arun`. The embedder is called before, outside the
transaction, so that no connection waits for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy.orm import Session

from rowspace.errors import ConfigurationError
from rowspace.repositories import (
    CollectionRepository,
    DocumentRepository,
    HybridRepository,
    SearchRepository,
)
from rowspace.repositories.searches import SearchOptions
from rowspace.repositories.subjects import Where
from rowspace.services import SearchHit
from rowspace.services.embedding import aembed_query, check_embedder, embed_query
from rowspace.statements.hybrid import Fusion, FusionMethod

__all__ = ["Mode", "Retrieval", "aembedded", "embedded"]

Mode = Literal["vector", "text", "hybrid", "mmr"]


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What is looked for, and how.

    Args:
        text: what is looked for; modes `text` and `hybrid` need it.
        vector: its vector; every mode but `text` needs it.
        k: hits wanted.
        mode: by distance, by keyword, by both, or by distance but not all alike.
        where: a metadata filter, or conditions on `Document`.
        fetch_k: in mode `mmr`: candidates.
        lambda_mult: in mode `mmr`: from 1 for the nearest alone to 0 for variety alone.
        fusion: in mode `hybrid`: how the two lists become one.
        options: in modes `vector` and `mmr` those of every search by vector; in mode `hybrid`, `exact` and `settings`.
        embedder: what made the vector of the text, to be refused where another one filled the collection.
    """

    text: str | None = None
    vector: Any = None
    k: int = 4
    mode: Mode = "vector"
    where: Where | None = None
    fetch_k: int | None = None
    lambda_mult: float = 0.5
    fusion: Fusion | FusionMethod = "rrf"
    options: SearchOptions = field(default_factory=SearchOptions)
    embedder: Any = None

    def find(self, session: Session, collection: str) -> list[SearchHit]:
        """Return the hits in a collection, best first; in mode `mmr` in the order of their choice.

        Raises:
            CollectionNotFound: there is no such collection.
            EmbedderMismatch: the collection was filled by another embedder.
            InvalidFilter, InvalidSetting, InvalidVector, InvalidText: a part of it is malformed.
        """
        found = CollectionRepository(session).get(collection)
        if self.embedder is not None:
            check_embedder(found, self.embedder)
        return [SearchHit.from_hit(rank, hit) for rank, hit in enumerate(self._hits(session, found), 1)]

    def _hits(self, session: Session, collection: Any) -> Sequence[Any]:
        if self.mode == "text":
            return HybridRepository(session, collection).text(self.text or "", self.k, where=self.where)
        common: dict[str, Any] = {"where": self.where, **self.options}
        if self.mode == "hybrid":
            by_both = HybridRepository(session, collection)
            return by_both.hybrid(self.text or "", self.vector, self.k, fusion=self.fusion, **common)
        if self.mode == "mmr":
            common |= {"fetch_k": self.fetch_k, "lambda_mult": self.lambda_mult}
            return SearchRepository(session, collection).diverse(self.vector, self.k, **common)
        return DocumentRepository(session, collection).nearest(self.vector, self.k, **common)


def embedded(embedder: Any, text: str, mode: Mode) -> dict[str, Any]:
    """Return the fields of a `Retrieval` for a text; mode `text` needs no vector.

    Raises:
        ConfigurationError: there is no embedder.
    """
    if mode == "text":
        return {"text": text, "mode": mode}
    return {"text": text, "mode": mode, "vector": embed_query(_present(embedder), text), "embedder": embedder}


async def aembedded(embedder: Any, text: str, mode: Mode) -> dict[str, Any]:
    """Return the fields of a `Retrieval` for a text; an embedder without async methods runs in a thread.

    Raises:
        ConfigurationError: there is no embedder.
    """
    if mode == "text":
        return {"text": text, "mode": mode}
    return {"text": text, "mode": mode, "vector": await aembed_query(_present(embedder), text), "embedder": embedder}


def _present(embedder: Any) -> Any:
    if embedder is None:
        message = "A search by meaning needs an embedder: give one, or search in mode 'text'."
        raise ConfigurationError(message)
    return embedder
