"""Faults of a request that only exist over HTTP."""

from __future__ import annotations

from http import HTTPStatus

from rowspace.errors import RowspaceError

__all__ = ["RequestFault", "body_too_large", "broken_off"]


class RequestFault(RowspaceError, ValueError):
    """A request that cannot be served as it is.

    Args:
        status: the HTTP status that says so.
        detail: what was received, what was expected, and the fix.
        pointer: a JSON pointer to the part of the body that is at fault.
        parameter: the part of the path that is at fault.
        line: the line of an NDJSON body that is at fault; the pointer is into it.
        headers: headers that the answer needs.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        pointer: str | None = None,
        parameter: str | None = None,
        line: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.pointer = pointer
        self.parameter = parameter
        self.line = line
        self.headers = headers or {}


def body_too_large(limit: int) -> RequestFault:
    """Return the fault of a body beyond a limit in bytes."""
    detail = f"The body is larger than the {limit:,} bytes that are taken: send it in parts."
    # What is left of the body is not read, so the connection cannot be used again.
    return RequestFault(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, headers={"Connection": "close"})


def broken_off() -> RequestFault:
    """Return the fault of a body whose sender hung up; who still listens is told."""
    return RequestFault(HTTPStatus.BAD_REQUEST, "The body broke off: nothing of it was stored.")
