"""Inputs and outputs of the services: pydantic models, which web frameworks can use directly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SkipValidation, TypeAdapter, model_validator

from rowspace.distance import Distance, DistanceName
from rowspace.models import Collection, Document
from rowspace.results import Hit, HybridHit, Page, TextHit
from rowspace.services.html import table

__all__ = [
    "CollectionInfo",
    "DocumentIn",
    "DocumentOut",
    "DocumentPage",
    "Embedding",
    "Mode",
    "Readiness",
    "SearchFields",
    "SearchHit",
    "SearchRequest",
    "fault_of_options",
]


def _as_list(value: Any) -> Any:
    """Accept a NumPy array, a tuple or a pgvector value as a list of numbers."""
    convert = getattr(value, "to_numpy", None)
    value = convert() if convert else value
    return value.tolist() if isinstance(value, np.ndarray) else value


def _or_empty(value: Any) -> Any:
    """Accept None as empty metadata, for a NULL column or an empty field of a file."""
    return {} if value is None else value


if TYPE_CHECKING:
    # The accepted input; the value is then a list.
    Embedding: TypeAlias = Sequence[float] | NDArray[Any]
else:
    Embedding = Annotated[Sequence[float], BeforeValidator(_as_list)]

#: The kinds of search.
Mode: TypeAlias = Literal["vector", "mmr", "text", "hybrid"]


class _Model(BaseModel):
    # Like the engine, hide values: a log should contain the error about a text or a vector, but not its contents.
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def _repr_html_(self) -> str:
        return table([dict(self)])


class DocumentIn(_Model):
    """A document to store.

    Args:
        content: the text.
        id: the caller's id, at most 2,600 bytes; by default a hash of the text, so that the same text is stored once.
        metadata: a JSON object; None is an empty one.
        embedding: a vector of the collection's dimension; by default the service's embedder computes it.
    """

    content: str
    id: str | None = Field(default=None, min_length=1)
    metadata: Annotated[dict[str, Any], BeforeValidator(_or_empty)] = Field(default_factory=dict)
    embedding: Embedding | None = None


class DocumentOut(_Model):
    """A stored document."""

    id: str
    content: str
    metadata: dict[str, Any]

    @classmethod
    def from_document(cls, document: Document) -> Self:
        """Return the model of a row."""
        return cls.model_construct(id=document.id, content=document.content, metadata=document.meta)


class DocumentPage(_Model):
    """A page of a listing, and the cursor that continues it, which is None after the last page."""

    documents: list[DocumentOut]
    cursor: str | None = None

    @classmethod
    def from_page(cls, page: Page[Document]) -> Self:
        """Return the model of a repository's page."""
        documents = [DocumentOut.from_document(document) for document in page.items]
        return cls.model_construct(documents=documents, cursor=page.cursor)


class Readiness(_Model):
    """Whether Rowspace can serve requests: for each check None, or what is wrong."""

    database: str | None = None
    migrations: str | None = None
    indexes: str | None = None

    @property
    def ready(self) -> bool:
        """Whether nothing is wrong."""
        return self.database is None and self.migrations is None and self.indexes is None


class SearchFields(_Model):
    """How to search.

    Args:
        k: number of hits.
        filter: a metadata filter.
        mode: `vector` by distance, `mmr` by distance with diversity, `text` by keyword, `hybrid` by distance and
            keyword.
        highlight: in modes `text` and `hybrid`: return an excerpt with the words marked, escaped for HTML.
        max_distance: in modes `vector` and `mmr`: leave out documents that are farther. With a low `ef_search`, the
            index may miss documents within the limit and return fewer than k; `exact` finds them all.
        min_similarity: the same limit as `max_distance`, as a similarity; give only one of the two.
        min_distance: in mode `vector`: leave out documents that are nearer.
        fetch_k: in mode `mmr`: number of candidates, at least k; by default four times k and at least 20.
        lambda_mult: in mode `mmr`: from 1 (only nearness counts) to 0 (only diversity counts); 0.5 by default.
        exact: except in mode `text`: compare with every document that matches, without the vector index.
        ef_search: except in mode `text`: pgvector's setting for this search.
        recall: except in mode `text`: the share of the true nearest documents to find, instead of `ef_search`, in a
            tuned collection.
    """

    k: int = Field(default=10, ge=1, le=10_000)
    filter: dict[str, Any] | None = None
    mode: Mode = "vector"
    highlight: bool = False
    max_distance: float | None = Field(default=None, allow_inf_nan=False)
    min_similarity: float | None = Field(default=None, allow_inf_nan=False)
    min_distance: float | None = Field(default=None, allow_inf_nan=False)
    fetch_k: int | None = Field(default=None, ge=1, le=10_000)
    lambda_mult: float | None = Field(default=None, ge=0, le=1)
    exact: bool = False
    ef_search: int | None = Field(default=None, ge=1, le=1_000)
    recall: float | None = Field(default=None, gt=0, le=1)


class SearchRequest(SearchFields):
    """One search: by a vector, or a text that the service's embedder embeds; by keyword; or by both.

    Args:
        text: the text to search for; required in modes `text` and `hybrid`.
        vector: a vector of the collection's dimension, instead of a text; in mode `hybrid` in addition to it.
    """

    text: str | None = Field(default=None, min_length=1)
    vector: Embedding | None = None

    @model_validator(mode="after")
    def _fits_mode(self) -> Self:
        fault = _fault_of(self)
        if fault is not None:
            raise ValueError(fault)
        return self


#: The modes that support an option.
_MODES = {
    "highlight": ("text", "hybrid"),
    "max_distance": ("vector", "mmr"),
    "min_similarity": ("vector", "mmr"),
    "min_distance": ("vector",),
    "fetch_k": ("mmr",),
    "lambda_mult": ("mmr",),
    **dict.fromkeys(("exact", "ef_search", "recall"), ("vector", "mmr", "hybrid")),
}


def _fault_of(request: SearchRequest) -> str | None:
    """Return the contradiction in a request, in words, or None."""
    by_vector = request.mode in {"vector", "mmr"}
    if by_vector and (request.text is None) == (request.vector is None):
        return "a search needs a text or a vector, but not both"
    if not by_vector and request.text is None:
        return f"a search in mode {request.mode} needs a text"
    if request.mode == "text" and request.vector is not None:
        return "a search in mode text does not use a vector; mode hybrid uses both"
    return fault_of_options(request)


def fault_of_options(request: Any) -> str | None:
    """Return the contradiction in the options of a search, or of a request that contains some of them, or None."""
    given = {name: getattr(request, name, None) for name in _MODES}
    if given["recall"] is not None and given["ef_search"] is not None:
        return "recall selects ef_search: pass only one of them"
    if given["max_distance"] is not None and given["min_similarity"] is not None:
        return "max_distance and min_similarity express the same limit: pass only one of them"
    for option, modes in _MODES.items():
        if given[option] is not None and given[option] is not False and request.mode not in modes:
            return f"{option} is only supported in the mode{'s' * (len(modes) > 1)} {', '.join(modes)}"
    return None


class SearchHit(_Model):
    """One hit: a nearer one has a smaller `distance` and a larger `similarity`; both are None in mode `text`.

    `text_rank` is set if the text was found by keyword, and `score` in mode `hybrid`, which orders by it; larger is
    better for both. `highlight` is set on request.
    """

    rank: int
    id: str
    content: str
    # As it is stored: another application may have written any JSON value.
    metadata: SkipValidation[dict[str, Any]]
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

    @classmethod
    def from_rows(cls, rows: Sequence[Any], distance: Distance) -> list[SearchHit]:
        """Return the models of rows of id, content, metadata and distance, nearest first; ranks begin at 1."""
        # All at once, in pydantic's core: one by one takes more than twice as long, a third of the time of a search.
        return _HITS.validate_python(
            [
                {
                    **_NEITHER,
                    "rank": rank,
                    "id": id_,
                    "content": content,
                    "metadata": metadata,
                    "distance": farness,
                    "similarity": distance.similarity(farness),
                }
                for rank, (id_, content, metadata, farness) in enumerate(rows, 1)
            ]
        )


_HITS = TypeAdapter(list[SearchHit])
#: Fields that a search by distance alone does not have.
_NEITHER = {"text_rank": None, "score": None, "highlight": None}


class CollectionInfo(_Model):
    """A collection, as a caller sees it."""

    name: str
    dimension: int
    distance: DistanceName
    language: str
    embedder: str | None
    index: dict[str, Any]
    metadata: dict[str, Any]
    indexed_keys: list[str]

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
            indexed_keys=collection.indexed_keys,
        )
