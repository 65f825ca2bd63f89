"""Bodies and answers of the REST contract. Strict: a string is no number, and an unknown key is a fault."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from rowspace.filters import parse_path
from rowspace.results import LoadReport
from rowspace.services import CollectionInfo, DocumentIn, SearchHit, SearchOptions, SearchRequest

__all__ = [
    "KINDS",
    "MAX_DOCUMENTS",
    "MAX_K",
    "MAX_QUERIES",
    "BatchBody",
    "CollectionBody",
    "Collections",
    "Count",
    "CountBody",
    "DeleteBody",
    "Deleted",
    "DocumentBody",
    "DocumentsBody",
    "LoadResult",
    "ScrollBody",
    "Search",
    "SearchBody",
    "SearchResult",
    "SearchResults",
]

#: The most that one request may ask for; a server's settings can lower them.
MAX_DOCUMENTS, MAX_IDS, MAX_K, MAX_QUERIES = 5_000, 10_000, 1_000, 100

#: No text in PostgreSQL holds a NUL.
_TEXT = r"^[^\x00]*$"

Text = Annotated[str, Field(pattern=_TEXT)]
Id = Annotated[str, Field(min_length=1, pattern=_TEXT)]
Query = Annotated[str, Field(min_length=1, max_length=10_000, pattern=_TEXT, examples=["vector index"])]
Filter = Annotated[dict[str, Any], Field(examples=[{"year": {"$gte": 2020}}])]
Vector = Annotated[list[float], Field(min_length=1, max_length=16_000, examples=[[0.1, 0.2, 0.3, 0.4]])]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class CollectionBody(_Body):
    """A collection to be created."""

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\w[\w.\-]*$", examples=["articles"])]
    dimension: int | None = Field(
        default=None, ge=1, le=16_000, description="Numbers in each embedding; null asks the embedder.", examples=[4]
    )
    distance: Literal["cosine", "l2", "inner_product", "l1"] = "cosine"
    index: Literal["hnsw", "ivfflat"] | None = "hnsw"
    language: Annotated[str, Field(examples=["simple"], description="The text-search configuration.")] = "simple"
    metadata: dict[str, Any] = Field(default_factory=dict)


class Collections(_Body):
    """The collections that the caller may see, by name."""

    collections: list[CollectionInfo]


class DocumentBody(DocumentIn):
    """A document on its way in."""

    model_config = ConfigDict(
        strict=True, allow_inf_nan=False, json_schema_extra={"examples": [{"content": "A text."}]}
    )

    content: Text
    id: Id | None = Field(default=None, description="Without one, a hash of the content.")
    embedding: Vector | None = Field(default=None, description="Without one, the server's embedder makes it.")


class DocumentsBody(_Body):
    """Documents to be added, or updated where their id is there."""

    documents: list[DocumentBody] = Field(max_length=MAX_DOCUMENTS)


class LoadResult(_Body):
    """What a load did, in documents: `received` is the sum of the others."""

    received: int
    inserted: int
    updated: int
    unchanged: int
    duplicates: int

    @classmethod
    def from_report(cls, report: LoadReport) -> LoadResult:
        """Return the model of a service's report."""
        return cls(
            received=report.received,
            inserted=report.inserted,
            updated=report.updated,
            unchanged=report.unchanged,
            duplicates=report.duplicates,
        )


class DeleteBody(_Body):
    """Which documents to delete: by `ids`, or by a `filter` that is not empty."""

    ids: list[Id] | None = Field(default=None, min_length=1, max_length=MAX_IDS)
    filter: Annotated[Filter, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            message = "give ids or a filter, and not both; to delete everything, delete the collection"
            raise ValueError(message)
        return self


class Deleted(_Body):
    """How many documents were deleted."""

    deleted: int


class CountBody(_Body):
    """Which documents to count."""

    filter: Filter | None = None


class Count(_Body):
    """How many documents there are."""

    count: int


class ScrollBody(_Body):
    """Which page of a listing."""

    limit: int = Field(default=100, ge=1, le=1_000)
    filter: Filter | None = None
    order_by: Annotated[str, Field(examples=["year"])] | None = Field(
        default=None, description="A metadata key, dotted as in a filter; null orders by id."
    )
    descending: bool = False

    @field_validator("order_by")
    @classmethod
    def _is_path(cls, value: str | None) -> str | None:
        if value is not None:
            parse_path(value)
        return value

    cursor: str | None = Field(default=None, description="That of the page before; null for the first page.")


class _Search(SearchOptions):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    collection: Annotated[str, Field(examples=["articles"])]
    k: int = Field(default=10, ge=1, le=MAX_K)
    fetch_k: int | None = Field(default=None, ge=1, le=MAX_K)
    filter: Filter | None = None


class SearchBody(_Search, SearchRequest):
    """One search: `text` or `vector`; the modes `text` and `hybrid` need a text."""

    text: Query | None = None
    vector: Vector | None = None


class BatchBody(_Search):
    """Many searches that differ in their query alone: each is a text or a vector."""

    queries: list[Query | Vector] = Field(min_length=1, max_length=MAX_QUERIES)

    def options(self) -> dict[str, Any]:
        """Return what the searches share."""
        return {name: getattr(self, name) for name in self.model_fields_set - {"collection", "queries"}}


def _kind(body: Any) -> str:
    return "batch" if isinstance(body, dict) and "queries" in body else "search"


#: The names of the two kinds of search, which pydantic puts into the place of a fault.
KINDS = ("search", "batch")

Search = Annotated[Annotated[SearchBody, Tag("search")] | Annotated[BatchBody, Tag("batch")], Discriminator(_kind)]


class SearchResult(_Body):
    """The hits of a search, best first."""

    hits: list[SearchHit]


class SearchResults(_Body):
    """The results of many searches, in the order of their queries."""

    results: list[SearchResult]
