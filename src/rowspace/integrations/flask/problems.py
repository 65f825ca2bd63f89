"""Errors as problem+json responses."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import Flask, Response, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from rowspace.errors import RowspaceError, map_error
from rowspace.integrations.rest.ids import HEADER, request_id
from rowspace.integrations.rest.problems import MEDIA_TYPE, Problem, log_failure, problem_of, title_of

__all__ = ["add_problem_handlers", "answer_to", "own_request_id"]

#: Headers that belong to the server, not to the application (PEP 3333). Some servers reject them.
_HOP_BY_HOP = {"connection"}


def own_request_id() -> str:
    """Return the id of the request. Repeated calls return the same id."""
    identity: str = request.environ.setdefault("rowspace.request_id", request_id(request.headers.get(HEADER)))
    return identity


def add_problem_handlers(app: Flask) -> None:
    """Return Rowspace's errors, HTTP errors and explained database errors of an application as problem+json.

    `make_blueprint` does this for its own endpoints. This function is for the others. It does not handle database
    errors that Rowspace cannot explain, such as a unique violation, or other exceptions.
    """

    def handle(error: Any) -> Response:
        return answer_to(error, own_request_id())

    def handle_database(error: Any) -> Response:
        mapped = map_error(error)
        if mapped is None:
            raise error
        mapped.__cause__ = error
        return answer_to(mapped, own_request_id())

    app.register_error_handler(RowspaceError, handle)
    app.register_error_handler(HTTPException, handle)
    app.register_error_handler(SQLAlchemyError, handle_database)


def answer_to(error: Exception, identity: str) -> Response:
    """Return the response for an error. Failures of the server are logged with the request id."""
    if isinstance(error, HTTPException) and error.response is not None:
        # `abort(response)`: the application has already chosen a response.
        return Response.force_type(error.get_response(request.environ), request.environ)  # type: ignore[return-value]
    problem = _of_http(error) if isinstance(error, HTTPException) else problem_of(error)
    log_failure(error, problem, identity)
    headers = {key: value for key, value in problem.headers.items() if key.lower() not in _HOP_BY_HOP}
    answer = Response(problem.content(identity), status=problem.status, headers=headers, content_type=MEDIA_TYPE)
    answer.headers[HEADER] = identity
    return answer


def _of_http(error: HTTPException) -> Problem:
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    # Keep Allow, Retry-After and WWW-Authenticate. Their HTML page is replaced.
    headers = {key: value for key, value in error.get_headers() if key.lower() != "content-type"}
    return Problem(status, error.description or title_of(status), headers=headers)
