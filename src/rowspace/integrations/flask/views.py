"""The endpoints for collections, documents and searches."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import quote

from flask import Response, request

from rowspace.integrations.flask.backend import Backend
from rowspace.integrations.flask.calls import Call, answer, body_of, chunks_of, data_of, is_streamed
from rowspace.integrations.rest.bodies import LineReader
from rowspace.integrations.rest.checks import check_number, checked_search, no_documents, one_document
from rowspace.integrations.rest.models import (
    CollectionBody,
    Collections,
    Count,
    CountBody,
    DeleteBody,
    Deleted,
    DocumentBody,
    DocumentsBody,
    LoadResult,
    ScrollBody,
)
from rowspace.integrations.rest.queries import BatchBody, Search, SearchResult, SearchResults

__all__ = [
    "count_documents",
    "create_collection",
    "delete_collection",
    "delete_documents",
    "get_collection",
    "get_document",
    "list_collections",
    "put_documents",
    "scroll_documents",
    "search",
]


def list_collections(call: Call) -> Response:
    """Return the collections that the caller may read, by name."""
    found = call.backend.documents.collections()
    return answer(Collections.model_construct(collections=[one for one in found if call.access.sees(one.name)]))


def create_collection(call: Call) -> Response:
    """Create an empty collection."""
    body: CollectionBody = body_of(CollectionBody, call.backend)
    call.access.check(body.name, "write")
    made = call.backend.documents.create_collection(**body.model_dump())
    created = answer(made, HTTPStatus.CREATED)
    path = quote(f"{request.script_root}{request.path.rstrip('/')}")
    created.headers["Location"] = f"{path}/{quote(made.name, safe='')}"
    return created


def get_collection(call: Call, name: str) -> Response:
    """Return a collection."""
    call.access.check(name)
    return answer(call.backend.documents.collection(name))


def delete_collection(call: Call, name: str) -> Response:
    """Delete a collection with all its documents."""
    call.access.check(name, "write")
    call.backend.documents.drop_collection(name)
    gone = Response(status=HTTPStatus.NO_CONTENT)
    del gone.headers["Content-Type"]
    return gone


def put_documents(call: Call, name: str) -> Response:
    """Add documents, and update those whose id exists. Either all are stored, or none if one of them is invalid."""
    call.access.check(name, "write")
    if is_streamed():
        reader = LineReader(call.backend.settings.max_line)
        with reader.lines_named():
            report = call.backend.documents.add(name, _lines(call.backend, reader))
    else:
        if not data_of(call.backend):
            raise no_documents()
        body: DocumentsBody = body_of(DocumentsBody, call.backend)
        check_number(len(body.documents), call.backend.settings)
        report = call.backend.documents.add(name, body.documents)
    return answer(LoadResult.from_report(report))


def _lines(backend: Backend, reader: LineReader) -> Iterator[DocumentBody]:
    for chunk in chunks_of(backend):
        yield from reader.feed(chunk)
    yield from reader.end()


def delete_documents(call: Call, name: str) -> Response:
    """Delete documents by id or by filter, and return their number."""
    body: DeleteBody = body_of(DeleteBody, call.backend)
    call.access.check(name, "write")
    return answer(Deleted(deleted=call.backend.documents.delete(name, body.ids or (), where=body.filter)))


def get_document(call: Call, name: str, document_id: str) -> Response:
    """Return a document."""
    call.access.check(name)
    return answer(one_document(call.backend.documents.get(name, [document_id]), name, document_id))


def count_documents(call: Call, name: str) -> Response:
    """Return the number of documents that match a filter."""
    body: CountBody = body_of(CountBody, call.backend)
    call.access.check(name)
    return answer(Count(count=call.backend.documents.count(name, where=body.filter)))


def scroll_documents(call: Call, name: str) -> Response:
    """Return a page of documents, and the cursor of the next page, which is null after the last."""
    body: ScrollBody = body_of(ScrollBody, call.backend)
    call.access.check(name)
    return answer(call.backend.searches.scroll(name, **body.options()))


def search(call: Call) -> Response:
    """Return the documents nearest to a text or a vector, best first; with `queries`, those of each query."""
    body = body_of(Search, call.backend)
    call.access.check(body.collection)
    body = checked_search(body, call.backend.settings)
    if isinstance(body, BatchBody):
        many = call.backend.searches.search_many(body.collection, body.queries, **body.options())
        found = [SearchResult.model_construct(hits=hits) for hits in many]
        return answer(SearchResults.model_construct(results=found))
    hits = call.backend.quick.search(body.collection, body)
    return answer(SearchResult.model_construct(hits=hits))
