"""The search endpoint."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from rowspace.integrations.fastapi.backend import Backend
from rowspace.integrations.fastapi.openapi import described
from rowspace.integrations.fastapi.routes import access_of
from rowspace.integrations.rest.bodies import JSON
from rowspace.integrations.rest.checks import checked_search
from rowspace.integrations.rest.queries import BatchBody, Search, SearchResult, SearchResults

__all__ = ["add_search"]


def add_search(router: APIRouter, backend: Backend) -> None:
    """Add the endpoint that searches."""
    limits = backend.settings

    @router.post(
        "/api/search",
        tags=["search"],
        summary="Search",
        response_model=SearchResult | SearchResults,
        **described("search", 400, 404, 409, 413, 415, 422, 502),
    )
    async def search(body: Search, request: Request) -> Response:
        """Return the documents nearest to a text or a vector, best first; with `queries`, those of each query."""
        access_of(request).check(body.collection)
        body = checked_search(body, limits)
        if isinstance(body, BatchBody):
            many = await backend.searches.search_many(body.collection, body.queries, **body.options())
            found = [SearchResult.model_construct(hits=hits) for hits in many]
            # Serialize here: FastAPI would validate the service's own objects first.
            return Response(SearchResults.model_construct(results=found).model_dump_json(), media_type=JSON)
        hits = await backend.search(body.collection, body)
        return Response(SearchResult.model_construct(hits=hits).model_dump_json(), media_type=JSON)
