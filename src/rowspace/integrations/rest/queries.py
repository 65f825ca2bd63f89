"""Bodies of searches and questions. Their schemas describe which fields can be combined."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Discriminator, Field, Tag

from rowspace.integrations.rag.models import AnswerRequest, Turn
from rowspace.integrations.rest.fields import (
    MAX_QUERIES,
    Body,
    Budget,
    Described,
    K,
    Name,
    Passages,
    Query,
    Thousand,
    Vector,
    given,
)
from rowspace.integrations.rest.schemas import Filter
from rowspace.services import SearchFields, SearchHit, SearchRequest

__all__ = ["KINDS", "TYPES", "BatchBody", "ChatBody", "Search", "SearchBody", "SearchResult", "SearchResults"]


_NULL, _NO = {"type": "null"}, {"enum": [False]}
_TEXTS = {"type": "array", "items": {"type": "string"}}

# The fields that each mode allows.
_VECTOR = {"mode": {"enum": ["vector"]}, "fetch_k": _NULL, "lambda_mult": _NULL, "highlight": _NO}
_MMR = {"mode": {"enum": ["mmr"]}, "min_distance": _NULL, "highlight": _NO}
_NO_DISTANCE = dict.fromkeys(("max_distance", "min_similarity", "fetch_k", "lambda_mult"), _NULL)
_HYBRID = {"mode": {"enum": ["hybrid"]}, "min_distance": _NULL, **_NO_DISTANCE}
_TEXT = {**_HYBRID, "mode": {"enum": ["text"]}, "ef_search": _NULL, "recall": _NULL, "exact": _NO}

#: The schemas of the search modes. They exclude one another.
_MODES: list[Any] = [
    given("text", **_VECTOR, vector=_NULL),
    given("vector", **_VECTOR, text=_NULL),
    given("text", "mode", **_MMR, vector=_NULL),
    given("vector", "mode", **_MMR, text=_NULL),
    given("text", "mode", **_TEXT, vector=_NULL),
    given("text", "mode", **_HYBRID),
]

#: The same for a batch of searches. Each query is a text or a vector, or must be a text.
_BATCH_MODES: list[Any] = [
    {"properties": _VECTOR},
    given("mode", **_MMR),
    given("mode", **_TEXT, queries=_TEXTS),
    given("mode", **_HYBRID, queries=_TEXTS),
]


class _Search(Described, SearchFields):
    """The fields that all searches share.

    Args:
        collection: the collection to search.
    """

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    collection: Name
    k: K = 10
    ef_search: Thousand | None = None
    fetch_k: K | None = None
    filter: Filter | None = None


def _not_both(one: str, other: str) -> dict[str, Any]:
    return {"anyOf": [{"properties": {name: {"type": "null"}}} for name in (one, other)]}


#: Fields of a search that exclude each other.
_ONE_LIMIT = _not_both("max_distance", "min_similarity")
_EITHER = [_not_both("recall", "ef_search"), _ONE_LIMIT]


class SearchBody(_Search, SearchRequest):
    """One search: `text` or `vector`; the modes `text` and `hybrid` need a text."""

    model_config = ConfigDict(json_schema_extra={"allOf": [{"anyOf": _MODES}, *_EITHER]})

    text: Query | None = None
    vector: Vector | None = None


def _type(query: Any) -> str | None:
    return TYPES[0] if isinstance(query, str) else TYPES[1] if isinstance(query, list) else None


#: The tags of the types of a query, which pydantic inserts into the location of a fault.
TYPES = ("<text>", "<vector>")

_TextOrVector = Annotated[
    Annotated[Query, Tag(TYPES[0])] | Annotated[Vector, Tag(TYPES[1])],
    Discriminator(_type, custom_error_type="query", custom_error_message="Input should be a text or a list of numbers"),
]


class BatchBody(_Search):
    """Several searches that differ only in their query.

    Args:
        queries: each query is a text or a vector.
    """

    model_config = ConfigDict(json_schema_extra={"allOf": [{"anyOf": _BATCH_MODES}, *_EITHER]})

    queries: list[_TextOrVector] = Field(min_length=1, max_length=MAX_QUERIES)

    def options(self) -> dict[str, Any]:
        """Return the fields that all the searches share."""
        return self.model_dump(exclude_unset=True, exclude={"collection", "queries"})


def _kind(body: Any) -> str:
    return "batch" if isinstance(body, dict) and "queries" in body else "search"


#: The tags of the two kinds of search, which pydantic inserts into the location of a fault.
KINDS = ("search", "batch")

Search = Annotated[Annotated[SearchBody, Tag("search")] | Annotated[BatchBody, Tag("batch")], Discriminator(_kind)]


#: A string that is not only white space.
_SAID = r"^[^\x00]*[^\x00\s][^\x00]*$"

_CHAT_MODES: list[Any] = [
    given("mode", mode={"enum": ["mmr"]}),
    {"properties": {"mode": {"enum": ["vector"]}, "fetch_k": _NULL, "lambda_mult": _NULL}},
    given("mode", mode={"enum": ["text", "hybrid"]}, **_NO_DISTANCE),
]


class ChatBody(Described, AnswerRequest):
    """A question, and how to send its answer.

    Args:
        collection: the collection to search.
        history: earlier messages, oldest first, for the model.
        stream: whether to send server-sent events: the sources, the text as it is generated, the complete answer.
    """

    model_config = ConfigDict(
        strict=True, allow_inf_nan=False, json_schema_extra={"allOf": [{"anyOf": _CHAT_MODES}, _ONE_LIMIT]}
    )

    question: Annotated[
        str,
        Field(min_length=1, max_length=1_000, pattern=_SAID, examples=["What is an index?"]),
    ]
    collection: Name
    history: Annotated[list[Turn], Field(max_length=100)] = Field(default_factory=list)
    filter: Filter | None = None
    k: Passages = 6
    token_budget: Budget = 3_000
    fetch_k: K | None = None
    stream: bool = False

    def request(self) -> AnswerRequest:
        """Return the request of the answer service."""
        return AnswerRequest(**self.model_dump(exclude_unset=True, exclude={"stream"}))


class SearchResult(Body):
    """The hits of a search, best first."""

    hits: list[SearchHit]


class SearchResults(Body):
    """The results of several searches, in the order of their queries."""

    results: list[SearchResult]
