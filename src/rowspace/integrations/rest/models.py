"""Bodies about collections and documents. They are strict: a string is not a number, and an unknown key is an error."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from rowspace.integrations.rest.fields import (
    MAX_DOCUMENTS,
    MAX_IDS,
    Body,
    Described,
    Dimension,
    Id,
    Text,
    Thousand,
    Vector,
    given,
)
from rowspace.integrations.rest.schemas import KEY, Filter, Metadata
from rowspace.results import LoadReport
from rowspace.services import CollectionInfo, DocumentIn

__all__ = [
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
]


class CollectionBody(Body):
    """A collection to create.

    Args:
        name: letters, digits and `_`, and `.` or `-` after the first.
        dimension: the length of each embedding; null uses the dimension of the server's embedder.
        distance: the distance that searches use.
        index: the type of the vector index; null means none, so each search compares with every document.
        language: PostgreSQL's text-search configuration; `simple` works for any language.
        metadata: any JSON object.
        indexed_keys: metadata keys to index, for range filters on numbers, dates or texts.
    """

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\w[\w.\-]*$", examples=["articles"])]
    dimension: Dimension | None = Field(default=None, examples=[4])
    distance: Literal["cosine", "l2", "inner_product", "l1"] = "cosine"
    index: Literal["hnsw", "ivfflat"] | None = "hnsw"
    language: Annotated[str, Field(examples=["simple"])] = "simple"
    metadata: Metadata = Field(default_factory=dict)
    indexed_keys: list[Annotated[str, Field(pattern=KEY)]] = Field(
        default_factory=list, max_length=100, examples=[["year"]]
    )


class Collections(Body):
    """The collections that the caller may read, by name."""

    collections: list[CollectionInfo]


class DocumentBody(Described, DocumentIn):
    """A document to store.

    Args:
        metadata: a JSON object.
    """

    model_config = ConfigDict(
        strict=True, allow_inf_nan=False, json_schema_extra={"examples": [{"content": "A text."}]}
    )

    content: Text
    id: Id | None = None
    metadata: Metadata = Field(default_factory=dict)
    embedding: Vector | None = None


class DocumentsBody(Body):
    """Documents to add, or to update if their id exists.

    Args:
        documents: either all of them are stored, or none.
    """

    documents: list[DocumentBody] = Field(max_length=MAX_DOCUMENTS)


class LoadResult(Body):
    """The result of a load, in documents. `received` is the sum of the other numbers."""

    received: int
    inserted: int
    updated: int
    unchanged: int
    duplicates: int

    @classmethod
    def from_report(cls, report: LoadReport) -> LoadResult:
        """Return the model of a service's report."""
        return cls(**{name: getattr(report, name) for name in cls.model_fields})


class DeleteBody(Body):
    """The documents to delete, by `ids` or by a non-empty `filter`.

    Args:
        ids: unknown ids are ignored.
        filter: a metadata filter.
    """

    model_config = ConfigDict(json_schema_extra={"oneOf": [given("ids"), given("filter")]})

    ids: list[Id] = Field(default_factory=list, min_length=1, max_length=MAX_IDS, examples=[["a", "b"]])
    filter: Annotated[Filter, Field(json_schema_extra={"minProperties": 1})] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        given = [name for name in ("ids", "filter") if name in self.model_fields_set]
        if len(given) != 1 or not getattr(self, given[0]):
            message = "expected either ids or a filter; to delete everything, delete the collection"
            raise ValueError(message)
        return self


class Deleted(Body):
    """The number of deleted documents."""

    deleted: int


class CountBody(Body):
    """The documents to count.

    Args:
        filter: a metadata filter; null counts all documents.
    """

    filter: Filter | None = None


class Count(Body):
    """The number of documents."""

    count: int


class ScrollBody(Body):
    """The page of a listing.

    Args:
        limit: the maximum number of documents on the page.
        filter: a metadata filter.
        order_by: a metadata key, dotted as in a filter; null orders by id.
        descending: whether to start with the largest.
        cursor: the cursor of the previous page; null for the first page.
    """

    limit: Thousand = 100
    filter: Filter | None = None
    order_by: Annotated[str, Field(pattern=KEY, examples=["year"])] | None = None
    descending: bool = False
    cursor: str | None = None

    def options(self) -> dict[str, Any]:
        """Return keyword arguments for the service's `scroll`."""
        return {"where": self.filter, **self.model_dump(exclude={"filter"})}
