"""What the OpenAPI document adds to each endpoint: examples, and its possible problems."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from rowspace.integrations.rest.bodies import JSON, NDJSON
from rowspace.integrations.rest.examples import ANSWERS, PROBLEMS, REQUESTS
from rowspace.integrations.rest.problems import MEDIA_TYPE, title_of

__all__ = ["TAGS", "described", "with_ndjson"]

#: The groups of endpoints, in the order in which readers need them.
TAGS = [
    {"name": "collections", "description": "Documents live in collections, each with one dimension and one distance."},
    {"name": "documents", "description": "Texts with metadata and an embedding."},
    {"name": "search", "description": "Search by meaning, by keyword, or both."},
    {"name": "chat", "description": "Answers with numbered sources."},
    {"name": "operations", "description": "For systems that run and monitor the server. They need no key."},
]

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
                    "pointer": {"type": "string", "description": "A JSON pointer into the body, or into the line."},
                    "line": {"type": "integer", "description": "A line of an NDJSON body; the first is 1."},
                    "parameter": {"type": "string", "description": "A parameter of the path or the query."},
                    "detail": {"type": "string"},
                },
            },
        },
        "checks": {
            "type": "object",
            "description": "For /readyz: the finding of each check, or null if it passed.",
            "additionalProperties": {"type": ["string", "null"]},
        },
    },
}

_SECONDS = {"description": "Seconds to wait before the next try.", "schema": {"type": "integer"}}
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"description": "How to send a key.", "schema": {"type": "string"}}},
    429: {"Retry-After": _SECONDS},
    503: {"Retry-After": _SECONDS},
}

#: The statuses of problems that any endpoint under `/api` can return.
_ALWAYS = (401, 403, 429, 500, 503)


def described(
    name: str,
    *problems: int,
    status: int = 200,
    headers: dict[str, Any] | None = None,
    content: dict[str, Any] | None = None,
    always: bool = True,
) -> dict[str, Any]:
    """Return keyword arguments for an endpoint's decorator that describe it.

    Args:
        name: the name of the endpoint, to find its examples.
        problems: the statuses of its problems.
        status: the status of a successful response.
        headers: the headers of a successful response.
        content: other media types of a successful response besides JSON.
        always: whether to add the problems that every endpoint under `/api` has.
    """
    answers: dict[int | str, dict[str, Any]] = {
        one: _problem(one) for one in sorted({*problems, *(_ALWAYS if always else ())})
    }
    if name in ANSWERS:
        answers[status] = {"content": {JSON: {"example": ANSWERS[name]}, **(content or {})}}
    if headers is not None:
        answers[status]["headers"] = headers
    if name not in REQUESTS:
        return {"responses": answers}
    examples = {title: {"value": value} for title, value in REQUESTS[name].items()}
    return {"responses": answers, "openapi_extra": {"requestBody": {"content": {JSON: {"examples": examples}}}}}


def with_ndjson(keywords: dict[str, Any]) -> dict[str, Any]:
    """Return keyword arguments for an endpoint that accepts NDJSON as well as JSON."""
    example = '{"id": "a", "content": "First."}\n{"id": "b", "content": "Second."}\n'
    # No separate `example`: tools that send examples would send it as JSON.
    stream = {"schema": {"type": "string", "description": f"One document per line, such as:\n\n{example}"}}
    body = keywords["openapi_extra"]["requestBody"]
    content = {**body["content"], NDJSON[0]: stream}
    return {**keywords, "openapi_extra": {"requestBody": {"required": True, "content": content}}}


def _problem(status: int) -> dict[str, Any]:
    example = {
        "type": "about:blank",
        "title": title_of(status),
        "status": status,
        "detail": PROBLEMS[status],
        "request_id": "5f1c",
    }
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        example["errors"] = [{"pointer": "/k", "detail": "Input should be greater than or equal to 1"}]
    content = {MEDIA_TYPE: {"schema": _PROBLEM, "example": example}}
    headers = {"headers": _HEADERS[status]} if status in _HEADERS else {}
    return {"description": title_of(status), "content": content, **headers}
