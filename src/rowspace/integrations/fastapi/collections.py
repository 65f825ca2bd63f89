"""Endpoints of collections."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Request, Response

from rowspace.integrations.fastapi.backend import Backend
from rowspace.integrations.fastapi.openapi import problems
from rowspace.integrations.fastapi.routes import access_of, route_class
from rowspace.integrations.rest.keys import Access
from rowspace.integrations.rest.models import CollectionBody, Collections
from rowspace.services import CollectionInfo

__all__ = ["Caller", "Name", "collections_router"]

Caller = Annotated[Access, Depends(access_of)]
Name = Annotated[str, Path(description="The name of a collection.", examples=["articles"])]


def collections_router(backend: Backend) -> APIRouter:
    """Return the router of the endpoints that create, list, show and delete collections."""
    router = APIRouter(route_class=route_class(backend), tags=["collections"])

    @router.get("/collections", summary="List collections", response_model=Collections, responses=problems())
    async def list_collections(access: Caller) -> Collections:
        """Return the collections that the caller may see, by name."""
        found = await backend.documents.collections()
        return Collections.model_construct(collections=[one for one in found if access.sees(one.name)])

    @router.post(
        "/collections",
        summary="Create a collection",
        status_code=201,
        response_model=CollectionInfo,
        responses={
            201: {"headers": {"Location": {"description": "Where it is.", "schema": {"type": "string"}}}},
            **problems(400, 409, 413, 415, 422),
        },
    )
    async def create_collection(
        body: CollectionBody, request: Request, response: Response, access: Caller
    ) -> CollectionInfo:
        """Create an empty collection."""
        access.check(body.name, "write")
        made = await backend.documents.create_collection(
            body.name,
            body.dimension,
            distance=body.distance,
            index=body.index,
            language=body.language,
            metadata=body.metadata,
        )
        response.headers["Location"] = f"{request.url.path.rstrip('/')}/{quote(made.name, safe='')}"
        return made

    @router.get(
        "/collections/{name}",
        summary="Show a collection",
        response_model=CollectionInfo,
        responses=problems(404, 422),
    )
    async def get_collection(name: Name, access: Caller) -> CollectionInfo:
        """Return a collection."""
        access.check(name)
        return await backend.documents.collection(name)

    @router.delete("/collections/{name}", summary="Delete a collection", status_code=204, responses=problems(404, 422))
    async def delete_collection(name: Name, access: Caller) -> None:
        """Delete a collection with all its documents."""
        access.check(name, "write")
        await backend.documents.drop_collection(name)

    return router
