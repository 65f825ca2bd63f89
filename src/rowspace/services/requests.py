"""Convert a search request to the arguments of a repository."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypedDict

from numpy.typing import NDArray

from rowspace.filters import Filter
from rowspace.models import Collection
from rowspace.services.models import Embedding, Mode, SearchRequest
from rowspace.settings import DEFAULT_EF_SEARCH, SearchSettings

__all__ = ["Queries", "Query", "SearchKeywords", "SharedKeywords", "is_plain", "request_of", "search_options"]


class ToNumpy(Protocol):
    """An object that converts to an array, such as a vector of pgvector."""

    def to_numpy(self) -> NDArray[Any]:
        """Return the numbers."""


#: A text or a vector to search by.
Numbers: TypeAlias = Embedding | ToNumpy

#: A query of the services.
Query: TypeAlias = SearchRequest | str | Numbers

#: Texts, vectors or both, or a matrix with a vector in each row.
Queries: TypeAlias = Sequence[str | Numbers] | NDArray[Any]


class SharedKeywords(TypedDict, total=False):
    """The fields of a `SearchFields` as keywords."""

    k: int
    filter: Filter | None
    mode: Mode
    highlight: bool
    max_distance: float | None
    min_similarity: float | None
    min_distance: float | None
    fetch_k: int | None
    lambda_mult: float | None
    exact: bool
    ef_search: int | None
    recall: float | None


class SearchKeywords(SharedKeywords, total=False):
    """The fields of a `SearchRequest` as keywords."""

    text: str | None
    vector: Numbers | None


def request_of(query: Any, options: Mapping[str, Any]) -> SearchRequest:
    """Return the request for a text, a vector, or a request.

    Raises:
        pydantic.ValidationError: an option that does not exist, or a value out of range.
    """
    if isinstance(query, SearchRequest):
        # Validated again, because model_copy accepts anything.
        return SearchRequest(**{**query.model_dump(exclude_unset=True), **options}) if options else query
    if isinstance(query, str):
        return SearchRequest(text=query, **options)
    return SearchRequest(vector=query, **options)


def is_plain(request: SearchRequest, collection: Collection) -> bool:
    """Return whether a search orders by distance, without settings, and k is within the default of an index scan."""
    return (
        request.mode == "vector"
        and request.k <= DEFAULT_EF_SEARCH
        and request.max_distance is None
        and request.min_similarity is None
        and request.min_distance is None
        and request.ef_search is None
        and request.recall is None
        and not request.exact
        and "quantize" not in collection.index
        and "tuning" not in collection.index
    )


def search_options(request: SearchRequest) -> dict[str, Any]:
    """Return the keywords of `nearest`, `diverse`, `text` or `hybrid`."""
    if request.mode == "text":
        return {"where": request.filter, "highlight": request.highlight}
    options: dict[str, Any] = {
        "where": request.filter,
        "exact": request.exact,
        "settings": SearchSettings(ef_search=request.ef_search, recall=request.recall),
    }
    if request.mode == "hybrid":
        return {**options, "highlight": request.highlight}
    options |= {"max_distance": request.max_distance, "min_similarity": request.min_similarity}
    if request.mode == "vector":
        return {**options, "min_distance": request.min_distance}
    lambda_mult = 0.5 if request.lambda_mult is None else request.lambda_mult
    fetch_k = None if request.fetch_k is None else max(request.fetch_k, request.k)
    return {**options, "fetch_k": fetch_k, "lambda_mult": lambda_mult}
