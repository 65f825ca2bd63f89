"""Checks beyond those of the models: the server's limits, and whether the requested object exists."""

from __future__ import annotations

from http import HTTPStatus
from typing import TypeVar, cast

from rowspace.errors import RowNotFound
from rowspace.integrations.rest.bodies import JSON, media_type
from rowspace.integrations.rest.errors import RequestFault
from rowspace.integrations.rest.queries import BatchBody, ChatBody, SearchBody
from rowspace.integrations.rest.settings import Limits
from rowspace.services import DocumentOut

__all__ = ["check_coding", "check_media_type", "check_number", "checked_search", "no_documents", "one_document"]

S = TypeVar("S", bound=SearchBody | BatchBody | ChatBody)


def check_media_type(content_type: str | None) -> None:
    """Reject a body whose Content-Type is not JSON.

    Raises:
        RequestFault: 415.
    """
    given = media_type(content_type)
    if given != JSON:
        detail = f"The Content-Type of the body is {given or 'missing'}, expected {JSON}."
        raise RequestFault(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)


def check_coding(content_encoding: str | None) -> None:
    """Reject a compressed body, because its length does not limit its size after decompression.

    Raises:
        RequestFault: 415.
    """
    if content_encoding and content_encoding.strip().lower() != "identity":
        detail = f"The body is encoded as {content_encoding!r:.60}. Send it without a Content-Encoding."
        raise RequestFault(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail, headers={"Accept-Encoding": "identity"})


def checked_search(body: S, limits: Limits) -> S:
    """Return a search or question that is within the limits. The default of k is lowered to the limit.

    Raises:
        RequestFault: 422, with the location of the fault.
    """
    if body.k > limits.max_k and "k" not in body.model_fields_set:
        body = cast("S", body.model_copy(update={"k": limits.max_k}))
    _check("/k", body.k, limits.max_k)
    _check("/fetch_k", body.fetch_k or 0, limits.max_k)
    if isinstance(body, BatchBody):
        _check("/queries", len(body.queries), limits.max_queries)
    return body


def _check(pointer: str, number: int, limit: int) -> None:
    if number > limit:
        detail = f"{pointer[1:]} is {number:,}, expected at most {limit:,} on this server."
        raise RequestFault(HTTPStatus.UNPROCESSABLE_ENTITY, detail, pointer=pointer)


def check_number(documents: int, limits: Limits) -> None:
    """Reject a JSON body with too many documents.

    Raises:
        RequestFault: 422, with the location of the fault.
    """
    if documents > limits.max_documents:
        detail = (
            f"The body has {documents:,} documents, expected at most {limits.max_documents:,}. "
            "Send several requests, or NDJSON."
        )
        raise RequestFault(HTTPStatus.UNPROCESSABLE_ENTITY, detail, pointer="/documents")


def no_documents() -> RequestFault:
    """Return the fault for a load without a body."""
    return RequestFault(HTTPStatus.UNPROCESSABLE_ENTITY, "The body is missing. Send the documents.", pointer="")


def one_document(found: list[DocumentOut], collection: str, document_id: str) -> DocumentOut:
    """Return the only document of a lookup.

    Raises:
        RowNotFound: the document does not exist.
    """
    if not found:
        message = f"There is no document {document_id!r:.200} in the collection {collection!r}."
        raise RowNotFound(message)
    return found[0]
