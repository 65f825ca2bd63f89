"""How a search request becomes the arguments of a repository."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rowspace.services.models import SearchRequest
from rowspace.settings import SearchSettings

__all__ = ["request_of", "search_options"]


def request_of(query: Any, options: Mapping[str, Any]) -> SearchRequest:
    """Return the request for a text, a vector, or a request that is one already.

    Raises:
        pydantic.ValidationError: an option that does not exist, or a value out of range.
    """
    if isinstance(query, SearchRequest):
        given = {name: getattr(query, name) for name in query.model_fields_set}
        # Validated anew: model_copy would take anything.
        return SearchRequest(**{**given, **options}) if options else query
    if isinstance(query, str):
        return SearchRequest(text=query, **options)
    return SearchRequest(vector=query, **options)


def search_options(request: SearchRequest) -> dict[str, Any]:
    """Return the keywords of `nearest`, `text` or `hybrid`."""
    if request.mode == "text":
        return {"where": request.filter, "highlight": request.highlight}
    settings = SearchSettings(ef_search=request.ef_search, recall=request.recall)
    if request.mode == "hybrid":
        return {
            "where": request.filter,
            "highlight": request.highlight,
            "exact": request.exact,
            "settings": settings,
        }
    return {
        "where": request.filter,
        "max_distance": request.max_distance,
        "exact": request.exact,
        "settings": settings,
    }
