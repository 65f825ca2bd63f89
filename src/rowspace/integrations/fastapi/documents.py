"""Endpoints for the documents of a collection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, cast

from fastapi import APIRouter, Path, Request

from rowspace.integrations.fastapi.backend import Backend
from rowspace.integrations.fastapi.collections import Name
from rowspace.integrations.fastapi.openapi import described, with_ndjson
from rowspace.integrations.fastapi.routes import LimitedRequest, access_of, readable
from rowspace.integrations.rest.bodies import LineReader
from rowspace.integrations.rest.checks import check_number, no_documents, one_document
from rowspace.integrations.rest.models import (
    Count,
    CountBody,
    DeleteBody,
    Deleted,
    DocumentBody,
    DocumentsBody,
    LoadResult,
    ScrollBody,
)
from rowspace.integrations.rest.schemas import NO_NUL
from rowspace.services import DocumentOut, DocumentPage

__all__ = ["add_documents"]

#: A placeholder for a streamed body, so that FastAPI does not require a JSON body.
_NO_DOCUMENTS = DocumentsBody(documents=[])
_PATH = "/api/collections/{name}"

Id = Annotated[
    str,
    Path(
        pattern=NO_NUL,
        description="The id of a document; it can contain slashes.",
        openapi_examples={"a": {"value": "a"}},
    ),
]


def add_documents(router: APIRouter, backend: Backend) -> None:
    """Add the endpoints that write, read, count, page through and delete documents."""
    _add_writes(router, backend)
    _add_reads(router, backend)


def _add_writes(router: APIRouter, backend: Backend) -> None:
    limits = backend.settings

    @router.post(
        _PATH + "/documents",
        tags=["documents"],
        summary="Add or update documents",
        response_model=LoadResult,
        **with_ndjson(described("put_documents", 400, 404, 408, 409, 413, 415, 422, 502)),
    )
    async def put_documents(name: Name, request: Request, body: DocumentsBody = _NO_DOCUMENTS) -> LoadResult:
        """Add documents, and update those whose id exists. Either all are stored, or none if one of them is invalid.

        The body is JSON, or a stream of any length as `application/x-ndjson`, with one document per line.
        """
        access_of(request).check(name, "write")
        limited = cast("LimitedRequest", request)
        if not limited.streamed:
            if limited.empty:
                raise no_documents()
            check_number(len(body.documents), limits)
            return LoadResult.from_report(await backend.documents.add(name, body.documents))
        reader = LineReader(limits.max_line)
        with reader.lines_named():
            return LoadResult.from_report(await backend.documents.add(name, _lines(limited, reader)))

    @router.post(
        _PATH + "/delete",
        tags=["documents"],
        summary="Delete documents",
        response_model=Deleted,
        **described("delete_documents", 400, 404, 413, 415, 422),
    )
    async def delete_documents(name: Name, body: DeleteBody, request: Request) -> Deleted:
        """Delete documents by id or by filter, and return their number."""
        access_of(request).check(name, "write")
        return Deleted(deleted=await backend.documents.delete(name, body.ids or (), where=body.filter))


def _add_reads(router: APIRouter, backend: Backend) -> None:
    @readable(
        router,
        _PATH + "/documents/{document_id:path}",
        tags=["documents"],
        summary="Show a document",
        response_model=DocumentOut,
        **described("get_document", 404, 422),
    )
    async def get_document(name: Name, document_id: Id, request: Request) -> DocumentOut:
        """Return a document."""
        access_of(request).check(name)
        return one_document(await backend.documents.get(name, [document_id]), name, document_id)

    @router.post(
        _PATH + "/count",
        tags=["documents"],
        summary="Count documents",
        response_model=Count,
        **described("count_documents", 400, 404, 413, 415, 422),
    )
    async def count_documents(name: Name, body: CountBody, request: Request) -> Count:
        """Return the number of documents that match a filter."""
        access_of(request).check(name)
        return Count(count=await backend.documents.count(name, where=body.filter))

    @router.post(
        _PATH + "/scroll",
        tags=["documents"],
        summary="Page through documents",
        response_model=DocumentPage,
        **described("scroll_documents", 400, 404, 413, 415, 422),
    )
    async def scroll_documents(name: Name, body: ScrollBody, request: Request) -> DocumentPage:
        """Return a page of documents, and the cursor of the next page, which is null after the last."""
        access_of(request).check(name)
        return await backend.searches.scroll(name, **body.options())


async def _lines(request: LimitedRequest, reader: LineReader) -> AsyncIterator[DocumentBody]:
    async for chunk in request.stream():
        for document in reader.feed(chunk):
            yield document
    for document in reader.end():
        yield document
