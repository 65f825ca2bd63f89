"""What a server checks beyond the models: its own limits, and what is asked for and is not there."""

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
    """Refuse a body that is not JSON by its Content-Type.

    Raises:
        RequestFault: 415.
    """
    given = media_type(content_type)
    if given != JSON:
        detail = f"The body is {given or 'of no Content-Type'}, expected {JSON}."
        raise RequestFault(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)


def check_coding(content_encoding: str | None) -> None:
    """Refuse a body that is compressed: its length says nothing of what becomes of it.

    Raises:
        RequestFault: 415.
    """
    if content_encoding and content_encoding.strip().lower() != "identity":
        detail = f"The body is encoded as {content_encoding!r:.60}: send it as it is, without a Content-Encoding."
        raise RequestFault(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail, headers={"Accept-Encoding": "identity"})


def checked_search(body: S, limits: Limits) -> S:
    """Return a search, or a question, within the limits; one without a k gets at most theirs.

    Raises:
        RequestFault: 422, with the place.
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
        detail = f"{pointer[1:]} is {number:,}, at most {limit:,} are given here."
        raise RequestFault(HTTPStatus.UNPROCESSABLE_ENTITY, detail, pointer=pointer)


def check_number(documents: int, limits: Limits) -> None:
    """Refuse more documents in a JSON body than are taken.

    Raises:
        RequestFault: 422, with the place.
    """
    if documents > limits.max_documents:
        detail = (
            f"{documents:,} documents at once, at most {limits.max_documents:,} are taken: "
            "send them in parts, or as NDJSON."
        )
        raise RequestFault(HTTPStatus.UNPROCESSABLE_ENTITY, detail, pointer="/documents")


def no_documents() -> RequestFault:
    """Return the fault of a load without a body."""
    return RequestFault(HTTPStatus.UNPROCESSABLE_ENTITY, "There is no body: send the documents.", pointer="")


def one_document(found: list[DocumentOut], collection: str, document_id: str) -> DocumentOut:
    """Return the document that was found.

    Raises:
        RowNotFound: there is none.
    """
    if not found:
        message = f"There is no document {document_id!r:.200} in the collection {collection!r}."
        raise RowNotFound(message)
    return found[0]
