"""Convert errors to problem details (RFC 9457): which status to use, and what to reveal.

A problem quotes an error that the caller caused. It does not quote an error of the server, because a driver's message
contains hosts, users and SQL. Such a message goes to the log, under the request id.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError, TimeoutError as PoolTimeout

from rowspace import errors
from rowspace.errors import RowspaceError, sqlstate_of
from rowspace.integrations.rest.errors import RequestFault
from rowspace.integrations.rest.queries import KINDS, TYPES
from rowspace.services import Readiness

__all__ = [
    "MEDIA_TYPE",
    "Problem",
    "ProblemError",
    "log_failure",
    "pointer_to",
    "problem_of",
    "said_of",
    "title_of",
    "unready",
    "validation_problem",
]

MEDIA_TYPE = "application/problem+json"

_log = logging.getLogger("rowspace.http")

#: How many faults are reported. Nobody reads megabytes of them.
_MAX_FAULTS = 100

#: Values of Retry-After, in seconds.
_SOON, _LATER = "1", "5"


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem: its status, a detail for the caller, the faults in the request, and headers of the response."""

    status: int
    detail: str
    errors: Sequence[Mapping[str, Any]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)

    def body(self, request_id: str) -> dict[str, Any]:
        """Return the problem document as a dictionary."""
        about = {
            "type": "about:blank",
            "title": title_of(self.status),
            "status": int(self.status),
            "detail": self.detail,
        }
        faults = {"errors": [*self.errors]} if self.errors else {}
        return {**about, **faults, **self.more, "request_id": request_id}

    def content(self, request_id: str) -> bytes:
        """Return the problem document as it is sent."""
        return json.dumps(self.body(request_id), ensure_ascii=False).encode("utf-8", "replace")


def title_of(status: int) -> str:
    """Return the name of a status in RFC 9110, which Python uses since 3.13. An unknown status becomes its number."""
    # An application may use its own statuses, such as 499.
    return _TITLES.get(status, f"Status {status}")


_TITLES = {one.value: one.phrase for one in HTTPStatus} | {413: "Content Too Large", 422: "Unprocessable Content"}


class ProblemError(RowspaceError):
    """A problem that an endpoint reports directly."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def unready(found: Readiness) -> ProblemError:
    """Return the problem of a server that is not ready, with the result of each check."""
    checks = found.model_dump()
    detail = " ".join(filter(None, checks.values()))
    headers = {"Retry-After": _LATER}
    return ProblemError(Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=headers, more={"checks": checks}))


#: Errors of the caller, reported with their own message. The pointer is the part of the body that they are about.
_EXPLAINED: dict[type[RowspaceError], tuple[HTTPStatus, str | None]] = {
    errors.CollectionNotFound: (HTTPStatus.NOT_FOUND, None),
    errors.RowNotFound: (HTTPStatus.NOT_FOUND, None),
    errors.CollectionExists: (HTTPStatus.CONFLICT, "/name"),
    errors.EmbedderMismatch: (HTTPStatus.CONFLICT, None),
    errors.DimensionMismatch: (HTTPStatus.CONFLICT, "/vector"),
    errors.InvalidVector: (HTTPStatus.UNPROCESSABLE_ENTITY, "/vector"),
    errors.InvalidFilter: (HTTPStatus.UNPROCESSABLE_ENTITY, "/filter"),
    # An unknown cursor is like an unknown page: the cursor itself cannot be well-formed or malformed.
    errors.InvalidCursor: (HTTPStatus.NOT_FOUND, "/cursor"),
    errors.InvalidSetting: (HTTPStatus.UNPROCESSABLE_ENTITY, None),
    errors.InvalidText: (HTTPStatus.UNPROCESSABLE_ENTITY, None),
    errors.InvalidRow: (HTTPStatus.UNPROCESSABLE_ENTITY, None),
    # The models accepted the value, but it does not fit this collection or this server.
    errors.ConfigurationError: (HTTPStatus.CONFLICT, None),
}

#: Errors of the server, or of a model that it uses, with what may be revealed about them.
_UNEXPLAINED: dict[type[RowspaceError], tuple[HTTPStatus, str, str | None]] = {
    errors.StoreUnavailable: (HTTPStatus.SERVICE_UNAVAILABLE, "The database cannot be reached. Try again.", _LATER),
    errors.SchemaNotReady: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The database is not at the migration that this version of Rowspace needs.",
        _LATER,
    ),
    errors.ModelUnavailable: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The language model or the embedder is unavailable or overloaded. Try again.",
        _LATER,
    ),
    errors.ModelError: (
        HTTPStatus.BAD_GATEWAY,
        "The language model or the embedder failed, or returned an unreadable response.",
        None,
    ),
    errors.EmbedderFailed: (HTTPStatus.SERVICE_UNAVAILABLE, "An embedding process has ended. Try again.", _LATER),
    errors.TransactionConflict: (HTTPStatus.CONFLICT, "Another transaction conflicted with this. Try again.", _SOON),
    errors.PermissionDenied: (HTTPStatus.FORBIDDEN, "The server's database role lacks the permission for this.", None),
}

#: SQLSTATE classes: data exception, program limit exceeded.
_REFUSED = ("22", "54")

_BUSY = "Every connection to the database is in use. Try again."
_SLOW = "The statement exceeded the database's time limit. Try again, or request less."
_MISCONFIGURED = "The server is not set up for its database. Its log has the details under the request id."
_UNFIT = "The database rejected a value: it is too large for an index, or out of range."
_INTERNAL = "The server failed. Its log has the details under the request id."


def problem_of(error: BaseException) -> Problem:
    """Return the problem to report to the caller for an error."""
    if isinstance(error, ProblemError):
        return error.problem
    if isinstance(error, RequestFault):
        given = {"line": error.line, "parameter": error.parameter, "pointer": error.pointer}
        place = {key: value for key, value in given.items() if value is not None}
        return Problem(error.status, str(error), [{**place, "detail": str(error)}] if place else [], error.headers)
    if isinstance(error, ValidationError):
        return validation_problem(error.errors(include_url=False, include_context=False))
    return _of_server(error) or _of_caller(error) or Problem(HTTPStatus.INTERNAL_SERVER_ERROR, _INTERNAL)


def log_failure(error: Exception, problem: Problem, request_id: str) -> None:
    """Log a failure of the server with the request id and its reason, and with a traceback if it was unexpected.

    A missing right of the server's role counts as a failure, and so does a standby in place of a primary.
    """
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR or isinstance(error, errors.PermissionDenied):
        unforeseen = problem.status == HTTPStatus.INTERNAL_SERVER_ERROR
        # After the first line, a driver's message quotes the statement.
        why = str(error).partition("\n")[0]
        _log.error("request %s: %s: %s", request_id, type(error).__name__, why, exc_info=error if unforeseen else None)


def _of_server(error: BaseException) -> Problem | None:
    if isinstance(error, PoolTimeout) or isinstance(error.__cause__, PoolTimeout):
        return Problem(HTTPStatus.TOO_MANY_REQUESTS, _BUSY, headers={"Retry-After": _SOON})
    # While a connection is opened, SQLAlchemy does not wrap asyncpg's errors.
    if sqlstate_of(getattr(error, "orig", error)) == "57014":
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, _SLOW, headers={"Retry-After": _LATER})
    if isinstance(error, errors.ConfigurationError) and error.__cause__ is not None:
        # The cause is an error of the driver or PostgreSQL. What a caller can change is checked before the database is.
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, _MISCONFIGURED)
    for kind, (status, detail, retry) in _UNEXPLAINED.items():
        if isinstance(error, kind):
            wait = getattr(error, "retry_after", None)
            asked = retry if wait is None else str(math.ceil(wait))
            return Problem(status, detail, headers={} if asked is None else {"Retry-After": asked})
    return None


def _of_caller(error: BaseException) -> Problem | None:
    if isinstance(error, DBAPIError) and (sqlstate_of(error.orig) or "").startswith(_REFUSED):
        return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, _UNFIT)
    for kind, (status, pointer) in _EXPLAINED.items():
        if isinstance(error, kind):
            # The value is in range, as validated with the body. The collection was not tuned, or not to this recall.
            untuned = kind is errors.InvalidSetting and error.place == ("recall",)
            fitting = HTTPStatus.CONFLICT if untuned else status
            return Problem(fitting, str(error), _at(pointer_to(error.place) or pointer, error))
    return None


def _at(pointer: str | None, error: BaseException) -> list[dict[str, str]]:
    return [] if pointer is None else [{"pointer": pointer, "detail": str(error)}]


def validation_problem(faults: Sequence[Any]) -> Problem:
    """Return the problem of a request that failed validation, with the locations of the first faults."""
    found = [_fault(_place_of(fault), said_of(fault)) for fault in faults[:_MAX_FAULTS]]
    first = found[0]
    place = first.get("pointer") or first.get("parameter") or "the body"
    detail = f"{place}: {first['detail']}."
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, found)


def said_of(fault: Any) -> str:
    """Return the message of a fault without Python terms."""
    if fault.get("type") in {"model_type", "model_attributes_type", "dict_type"}:
        return "Input should be an object"
    return str(fault["msg"]).removeprefix("Value error, ")


def _place_of(fault: Any) -> Sequence[Any]:
    # For a body that does not parse, FastAPI's location is a character offset.
    return ("body",) if fault.get("type") == "json_invalid" else fault["loc"]


def _fault(place: Sequence[Any], message: str) -> dict[str, str]:
    if place and place[0] in {"query", "path", "header", "cookie"}:
        return {"parameter": str(place[-1]), "detail": message}
    parts = place[1:] if place and place[0] == "body" else place
    parts = parts[1:] if parts and parts[0] in KINDS else parts
    return {"pointer": pointer_to([part for part in parts if part not in TYPES]), "detail": message}


def pointer_to(place: Sequence[Any]) -> str:
    """Return the JSON pointer for a path of keys and positions."""
    return "".join(f"/{_escaped(part)}" for part in place)


def _escaped(part: Any) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")
