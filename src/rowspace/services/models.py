"""What goes into the services and comes out: pydantic models, so that a web framework can take them as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from rowspace.models import Collection, Document
from rowspace.results import Hit, HybridHit, TextHit
from rowspace.services.html import table

__all__ = ["CollectionInfo", "DocumentIn", "DocumentOut", "SearchHit", "SearchRequest"]


def _as_list(value: Any) -> Any:
    """Let a NumPy array, a tuple or a pgvector value stand for a list of numbers."""
    convert = getattr(value, "to_numpy", None)
    value = convert() if convert else value
    return value.tolist() if isinstance(value, np.ndarray) else value


Embedding = Annotated[Sequence[float], BeforeValidator(_as_list)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def _repr_html_(self) -> str:
        return table([dict(self)])


class DocumentIn(_Model):
    """A document on its way in.

    Args:
        content: the text.
        id: the caller's id; without one, a hash of the content, so that the same text is not stored twice.
        metadata: a JSON object.
        embedding: numbers of the collection's dimension; without them the service's embedder makes them.
    """

    content: str
    id: str | None = Field(default=None, min_length=1)
    metadata: dict[str, Any] = Field(default_factory=dict)
    embedding: Embedding | None = None


class DocumentOut(_Model):
    """A document on its way out."""

    id: str
    content: str
    metadata: dict[str, Any]

    @classmethod
    def from_document(cls, document: Document) -> Self:
        """Return the model of a row."""
        return cls.model_construct(id=document.id, content=document.content, metadata=document.meta)


class SearchRequest(_Model):
    """One search: by a text, which the service's embedder embeds, or by a vector; by keyword; or by both at once.

    Args:
        text: what to look for.
        vector: numbers of the collection's dimension, in place of a text; in mode `hybrid` beside it.
        k: hits wanted.
        filter: a metadata filter.
        mode: `vector` by distance, `text` by keyword, `hybrid` by both; the last two need a text.
        highlight: in modes `text` and `hybrid`: return an excerpt with the words marked, escaped for HTML.
        max_distance: in mode `vector`: leave out what is farther.
        exact: compare with every document that matches, without the vector index.
        ef_search: pgvector's setting for this search.
        recall: the share of the true nearest that is to be found, in place of `ef_search`, in a collection that was
            tuned.
    """

    text: str | None = Field(default=None, min_length=1)
    vector: Embedding | None = None
    k: int = Field(default=10, ge=1, le=10_000)
    filter: dict[str, Any] | None = None
    mode: Literal["vector", "text", "hybrid"] = "vector"
    highlight: bool = False
    max_distance: float | None = None
    exact: bool = False
    ef_search: int | None = Field(default=None, ge=1, le=1_000)
    recall: float | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _fits_mode(self) -> Self:
        if self.mode == "vector" and (self.text is None) == (self.vector is None):
            message = "a search takes a text or a vector, and not both"
            raise ValueError(message)
        if self.mode == "vector" and self.highlight:
            message = "highlight goes with the modes text and hybrid: a vector finds no words"
            raise ValueError(message)
        if self.recall is not None and self.ef_search is not None:
            message = "recall chooses ef_search: give one of them"
            raise ValueError(message)
        if self.mode != "vector" and self.text is None:
            message = f"a search in mode {self.mode} takes a text"
            raise ValueError(message)
        if self.mode != "vector" and self.max_distance is not None:
            message = "max_distance goes with the mode vector"
            raise ValueError(message)
        if self.mode == "text" and self.vector is not None:
            message = "a search in mode text takes no vector; mode hybrid takes both"
            raise ValueError(message)
        return self


class SearchHit(_Model):
    """One hit, best first: `distance` is smaller, `similarity` larger, the nearer it is; mode `text` has neither.

    `text_rank` is there where the text was found by keyword, `score` in mode `hybrid`, which orders by it; of both,
    larger is better. `highlight` is there where it was asked for.
    """

    rank: int
    id: str
    content: str
    metadata: dict[str, Any]
    distance: float | None = None
    similarity: float | None = None
    text_rank: float | None = None
    score: float | None = None
    highlight: str | None = None

    @classmethod
    def from_hit(cls, rank: int, hit: Hit[Document] | TextHit[Document]) -> Self:
        """Return the model of a repository's hit; ranks begin at 1."""
        document = hit.entity
        return cls.model_construct(
            rank=rank,
            id=document.id,
            content=document.content,
            metadata=document.meta,
            distance=hit.distance if isinstance(hit, Hit) else None,
            similarity=hit.similarity if isinstance(hit, Hit) else None,
            text_rank=hit.text_rank if isinstance(hit, TextHit | HybridHit) else None,
            score=hit.score if isinstance(hit, HybridHit) else None,
            highlight=hit.highlight if isinstance(hit, TextHit | HybridHit) else None,
        )


class CollectionInfo(_Model):
    """A collection, as a caller sees it."""

    name: str
    dimension: int
    distance: str
    language: str
    embedder: str | None
    index: dict[str, Any]
    metadata: dict[str, Any]

    @classmethod
    def from_collection(cls, collection: Collection) -> Self:
        """Return the model of a row."""
        return cls.model_construct(
            name=collection.name,
            dimension=collection.dimension,
            distance=collection.distance,
            language=collection.language,
            embedder=collection.embedder,
            index=collection.index,
            metadata=collection.meta,
        )
