"""Errors as problem+json responses."""

from __future__ import annotations

import json
import re
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.utils import is_body_allowed_for_status_code
from starlette.exceptions import HTTPException

from rowspace.errors import RowspaceError
from rowspace.integrations.rest.errors import RequestFault
from rowspace.integrations.rest.ids import HEADER, request_id
from rowspace.integrations.rest.problems import (
    MEDIA_TYPE,
    Problem,
    log_failure,
    problem_of,
    title_of,
    validation_problem,
)

__all__ = ["add_problem_handlers", "answer_to", "own_request_id", "problem_response"]


def own_request_id(request: Request) -> str:
    """Return the id of a request. Repeated calls return the same id."""
    identity: str = request.scope.setdefault("rowspace.request_id", request_id(request.headers.get(HEADER)))
    return identity


def add_problem_handlers(app: FastAPI) -> None:
    """Return Rowspace's errors, validation errors and HTTP errors of an application as problem+json.

    `make_router` does this for its own endpoints. This function is for the others. It handles no other exceptions.
    """

    async def handle(request: Request, error: Exception) -> Response:
        answer = answer_to(error, own_request_id(request))
        if answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            answer.headers["Allow"] = ", ".join(_methods(app, request.url.path)) or answer.headers.get("Allow", "")
        return answer

    for kind in (RowspaceError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, handle)


def _methods(app: FastAPI, path: str) -> list[str]:
    """Return the methods of a path. Starlette would name only those of the first matching route."""
    found: set[str] = set()
    for template, operations in app.openapi()["paths"].items():
        pattern = "[^/]+".join(re.escape(part) for part in re.split(r"\{[^}]*\}", template))
        if re.fullmatch(pattern, path):
            found.update(method.upper() for method in operations)
            found.update({"HEAD"} if "get" in operations else ())
    return sorted(found)


def answer_to(error: Exception, request: str) -> Response:
    """Return the response for an error. Failures of the server are logged with the request id."""
    problem = _problem_of(error)
    log_failure(error, problem, request)
    return problem_response(problem, request)


def problem_response(problem: Problem, request: str) -> Response:
    """Return a problem as a response."""
    headers = {**problem.headers, HEADER: request}
    if not is_body_allowed_for_status_code(problem.status):
        return Response(status_code=problem.status, headers=headers)
    return Response(problem.content(request), status_code=problem.status, headers=headers, media_type=MEDIA_TYPE)


def _problem_of(error: Exception) -> Problem:
    if isinstance(error, RequestValidationError):
        return validation_problem(error.errors())
    if isinstance(error, HTTPException):
        if isinstance(error.__cause__, RequestFault):
            # FastAPI wraps an error that is raised while it reads the body.
            return problem_of(error.__cause__)
        return _of_http(error)
    return problem_of(error)


def _of_http(error: HTTPException) -> Problem:
    """Return the problem of an HTTP error. Its detail can be any JSON; the keys of an object become members."""
    status, detail, headers = error.status_code, jsonable_encoder(error.detail), error.headers or {}
    if isinstance(detail, dict):
        return Problem(status, title_of(status), headers=headers, more={**detail, "status": status})
    return Problem(status, detail if isinstance(detail, str) else json.dumps(detail), headers=headers)
