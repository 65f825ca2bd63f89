"""What the OpenAPI description says of every endpoint: the problems that it may answer with."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from rowspace.integrations.rest.problems import MEDIA_TYPE

__all__ = ["ndjson_body", "problems"]

_PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "type": "object",
    "description": "Problem details, RFC 9457.",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "A JSON pointer into the body."},
                    "parameter": {"type": "string", "description": "A parameter of the path or the query."},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}

#: What any endpoint under `/api` may answer with.
_ALWAYS = (401, 403, 429, 500, 503)


def problems(*statuses: int, always: bool = True) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of an endpoint for the statuses of its problems."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": _PROBLEM, "example": _example(status)}},
        }
        for status in sorted({*statuses, *(_ALWAYS if always else ())})
    }


def _example(status: int) -> dict[str, Any]:
    phrase = HTTPStatus(status).phrase
    return {"type": "about:blank", "title": phrase, "status": status, "detail": f"{phrase}.", "request_id": "5f1c"}


def ndjson_body() -> dict[str, Any]:
    """Return the `openapi_extra` of an endpoint that takes NDJSON beside JSON."""
    example = '{"id": "a", "content": "First."}\n{"id": "b", "content": "Second."}\n'
    stream = {"schema": {"type": "string", "description": f"A document a line, such as:\n\n{example}"}}
    return {"requestBody": {"required": True, "content": {"application/x-ndjson": stream}}}
