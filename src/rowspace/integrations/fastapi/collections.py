"""Endpoints of collections."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, Response

from rowspace.integrations.fastapi.backend import Backend
from rowspace.integrations.fastapi.openapi import described
from rowspace.integrations.fastapi.routes import access_of, readable
from rowspace.integrations.rest.models import CollectionBody, Collections
from rowspace.integrations.rest.schemas import NO_NUL
from rowspace.services import CollectionInfo

__all__ = ["Name", "add_collections"]

Name = Annotated[
    str,
    Path(
        pattern=NO_NUL,
        description="The name of a collection.",
        openapi_examples={"articles": {"value": "articles"}},
    ),
]

_LOCATION = {"Location": {"description": "The path of the collection.", "schema": {"type": "string"}}}


def add_collections(router: APIRouter, backend: Backend) -> None:
    """Add the endpoints that list, create, show and delete collections."""
    _add_to_all(router, backend)
    _add_to_one(router, backend)


def _add_to_all(router: APIRouter, backend: Backend) -> None:
    @readable(
        router,
        "/api/collections",
        tags=["collections"],
        summary="List collections",
        response_model=Collections,
        **described("list_collections"),
    )
    async def list_collections(request: Request) -> Collections:
        """Return the collections that the caller may read, by name."""
        found = await backend.documents.collections()
        return Collections.model_construct(collections=[one for one in found if access_of(request).sees(one.name)])

    @router.post(
        "/api/collections",
        tags=["collections"],
        summary="Create a collection",
        status_code=201,
        response_model=CollectionInfo,
        **described("create_collection", 400, 409, 413, 415, 422, 502, status=201, headers=_LOCATION),
    )
    async def create_collection(body: CollectionBody, request: Request, response: Response) -> CollectionInfo:
        """Create an empty collection."""
        access_of(request).check(body.name, "write")
        made = await backend.documents.create_collection(**body.model_dump())
        response.headers["Location"] = f"{request.url.path.rstrip('/')}/{quote(made.name, safe='')}"
        return made


def _add_to_one(router: APIRouter, backend: Backend) -> None:
    @readable(
        router,
        "/api/collections/{name}",
        tags=["collections"],
        summary="Show a collection",
        response_model=CollectionInfo,
        **described("get_collection", 404, 422),
    )
    async def get_collection(name: Name, request: Request) -> CollectionInfo:
        """Return a collection."""
        access_of(request).check(name)
        return await backend.documents.collection(name)

    @router.delete(
        "/api/collections/{name}",
        tags=["collections"],
        summary="Delete a collection",
        status_code=204,
        response_class=Response,
        **described("delete_collection", 404, 422),
    )
    async def delete_collection(name: Name, request: Request) -> None:
        """Delete a collection with all its documents."""
        access_of(request).check(name, "write")
        await backend.documents.drop_collection(name)
