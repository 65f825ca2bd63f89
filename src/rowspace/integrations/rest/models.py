"""Bodies and answers of the REST contract. Strict: a string is no number, and an unknown key is a fault."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from rowspace.integrations.rag.models import AnswerRequest, Turn
from rowspace.integrations.rest.schemas import KEY, NO_NUL, Filter, Metadata
from rowspace.results import LoadReport
from rowspace.services import CollectionInfo, DocumentIn, SearchFields, SearchHit, SearchRequest

__all__ = [
    "KINDS",
    "MAX_DOCUMENTS",
    "MAX_K",
    "MAX_QUERIES",
    "BatchBody",
    "ChatBody",
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

# The largest float32; a number beyond it has no place in a vector.
_LARGEST = 3.4028234663852886e38

Text = Annotated[str, Field(pattern=NO_NUL)]
# As long as the primary key's index takes in any alphabet.
Id = Annotated[str, Field(min_length=1, max_length=500, pattern=NO_NUL)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL, examples=["articles"])]
Query = Annotated[str, Field(min_length=1, max_length=1_000, pattern=NO_NUL, examples=["vector index"])]
Number = Annotated[float, Field(ge=-_LARGEST, le=_LARGEST)]
Vector = Annotated[list[Number], Field(min_length=1, max_length=16_000, examples=[[0.1, 0.2, 0.3, 0.4]])]


def _given(*names: str, **properties: Any) -> dict[str, Any]:
    """Return the schema of an object that has some keys, not null, and properties as they are given."""
    return {"required": [*names], "properties": {**{name: {"not": {"type": "null"}} for name in names}, **properties}}


def _modes() -> list[Any]:
    """Return the schema of what goes with each mode of a search; each excludes the others."""
    null = {"type": "null"}
    no = {"enum": [False]}
    vector = {"mode": {"enum": ["vector"]}, "fetch_k": null, "lambda_mult": null, "highlight": no}
    mmr = {"mode": {"enum": ["mmr"]}, "min_distance": null, "highlight": no}
    neither = dict.fromkeys(("max_distance", "min_distance", "fetch_k", "lambda_mult"), null)
    by_index = {"ef_search": null, "recall": null, "exact": no}
    return [
        _given("text", **vector, vector=null),
        _given("vector", **vector, text=null),
        _given("text", "mode", **mmr, vector=null),
        _given("vector", "mode", **mmr, text=null),
        _given("text", "mode", mode={"enum": ["text"]}, vector=null, **neither, **by_index),
        _given("text", "mode", mode={"enum": ["hybrid"]}, **neither),
    ]


def _batch_modes() -> list[Any]:
    """Return the same for many searches: each may be a text or a vector, or has to be a text."""
    null, no = {"type": "null"}, {"enum": [False]}
    neither = dict.fromkeys(("max_distance", "min_distance", "fetch_k", "lambda_mult"), null)
    texts = {"type": "array", "items": {"type": "string"}}
    by_index = {"ef_search": null, "recall": null, "exact": no}
    mmr_only = {"fetch_k": null, "lambda_mult": null}
    return [
        {"properties": {"mode": {"enum": ["vector"]}, "highlight": no, **mmr_only}},
        _given("mode", mode={"enum": ["mmr"]}, highlight=no, min_distance=null),
        _given("mode", mode={"enum": ["text"]}, queries=texts, **neither, **by_index),
        _given("mode", mode={"enum": ["hybrid"]}, queries=texts, **neither),
    ]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _whole(value: Any) -> Any:
    """Let 10.0 stand for 10, as JSON Schema does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# The bounds stand within, where they are part of the description.
Dimension = Annotated[int, Field(ge=1, le=16_000), BeforeValidator(_whole)]
Thousand = Annotated[int, Field(ge=1, le=1_000), BeforeValidator(_whole)]
Passages = Annotated[int, Field(ge=1, le=100), BeforeValidator(_whole)]
Budget = Annotated[int, Field(ge=50, le=1_000_000), BeforeValidator(_whole)]
Candidates = Annotated[int, Field(ge=100, le=10_000), BeforeValidator(_whole)]
K = Annotated[int, Field(ge=1, le=MAX_K), BeforeValidator(_whole)]


class CollectionBody(_Body):
    """A collection to be created."""

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\w[\w.\-]*$", examples=["articles"])]
    dimension: Dimension | None = Field(
        default=None, description="Numbers in each embedding; null asks the embedder.", examples=[4]
    )
    distance: Literal["cosine", "l2", "inner_product", "l1"] = "cosine"
    index: Literal["hnsw", "ivfflat"] | None = "hnsw"
    language: Annotated[str, Field(examples=["simple"], description="The text-search configuration.")] = "simple"
    metadata: Metadata = Field(default_factory=dict)


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
    metadata: Metadata = Field(default_factory=dict)
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

    model_config = ConfigDict(json_schema_extra={"oneOf": [_given("ids"), _given("filter")]})

    ids: list[Id] = Field(default_factory=list, min_length=1, max_length=MAX_IDS, examples=[["a", "b"]])
    filter: Annotated[Filter, Field(json_schema_extra={"minProperties": 1})] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.ids) == bool(self.filter):
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

    limit: Thousand = 100
    filter: Filter | None = None
    order_by: Annotated[str, Field(pattern=KEY, examples=["year"])] | None = Field(
        default=None, description="A metadata key, dotted as in a filter; null orders by id."
    )
    descending: bool = False
    cursor: str | None = Field(default=None, description="That of the page before; null for the first page.")


class _Search(SearchFields):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    collection: Name
    k: K = 10
    ef_search: Thousand | None = None
    fetch_k: K | None = Field(default=None, description="Candidates; k, where it is more.")
    filter: Filter | None = None


#: The parts of the description of a search that exclude each other.
_EITHER: list[Any] = [{"properties": {"recall": {"type": "null"}}}, {"properties": {"ef_search": {"type": "null"}}}]


class SearchBody(_Search, SearchRequest):
    """One search: `text` or `vector`; the modes `text` and `hybrid` need a text."""

    model_config = ConfigDict(json_schema_extra={"allOf": [{"anyOf": _modes()}, {"anyOf": _EITHER}]})

    text: Query | None = None
    vector: Vector | None = None


class BatchBody(_Search):
    """Many searches that differ in their query alone: each is a text or a vector."""

    model_config = ConfigDict(json_schema_extra={"allOf": [{"anyOf": _batch_modes()}, {"anyOf": _EITHER}]})

    queries: list[Query | Vector] = Field(min_length=1, max_length=MAX_QUERIES)

    def options(self) -> dict[str, Any]:
        """Return what the searches share."""
        return {name: getattr(self, name) for name in self.model_fields_set - {"collection", "queries"}}


def _kind(body: Any) -> str:
    return "batch" if isinstance(body, dict) and "queries" in body else "search"


#: The names of the two kinds of search, which pydantic puts into the place of a fault.
KINDS = ("search", "batch")

Search = Annotated[Annotated[SearchBody, Tag("search")] | Annotated[BatchBody, Tag("batch")], Discriminator(_kind)]


#: Text that is not all white space.
_SAID = r"^[^\x00]*[^\x00\s][^\x00]*$"

_CHAT_MODES: list[Any] = [
    {"required": ["mode"], "properties": {"mode": {"enum": ["mmr"]}}},
    {"properties": {"mode": {"enum": ["vector"]}, "fetch_k": {"type": "null"}}},
    {
        "required": ["mode"],
        "properties": {
            "mode": {"enum": ["text", "hybrid"]},
            "fetch_k": {"type": "null"},
            "max_distance": {"type": "null"},
        },
    },
]


class ChatBody(AnswerRequest):
    """One question, and how its answer is sent."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, json_schema_extra={"anyOf": _CHAT_MODES})

    question: Annotated[
        str,
        Field(min_length=1, max_length=1_000, pattern=r"^[^\x00]*[^\x00\s][^\x00]*$", examples=["What is an index?"]),
    ]
    collection: Name
    history: Annotated[list[Turn], Field(max_length=100)] = Field(default_factory=list)  # type: ignore[assignment]
    filter: Filter | None = None
    k: Passages = 6
    token_budget: Budget = 3_000
    # From the largest k on: it is never below the k that is asked for.
    fetch_k: Candidates | None = None
    stream: bool = Field(default=False, description="Send server-sent events: sources, token by token, answer.")

    def request(self) -> AnswerRequest:
        """Return the request of the answer service."""
        given = {name: getattr(self, name) for name in self.model_fields_set - {"stream"}}
        return AnswerRequest(**given)


class SearchResult(_Body):
    """The hits of a search, best first."""

    hits: list[SearchHit]


class SearchResults(_Body):
    """The results of many searches, in the order of their queries."""

    results: list[SearchResult]
