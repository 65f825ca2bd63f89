"""Faults of a request that exist only over HTTP."""

from __future__ import annotations

from http import HTTPStatus

from rowspace.errors import RowspaceError

__all__ = ["RequestFault", "body_too_large", "broken_off"]


class RequestFault(RowspaceError, ValueError):
    """A request that cannot be served.

    Args:
        status: the HTTP status of the response.
        detail: what was received, what was expected, and the fix.
        pointer: a JSON pointer to the part of the body that is at fault.
        parameter: the path parameter that is at fault.
        line: the line of an NDJSON body that is at fault; `pointer` is relative to it.
        headers: headers that the response needs.
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
    """Return the fault for a body that exceeds a limit in bytes."""
    detail = f"The body is larger than the maximum of {limit:,} bytes. Send it in parts."
    # The rest of the body stays unread, so the connection cannot be reused.
    return RequestFault(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, headers={"Connection": "close"})


def broken_off() -> RequestFault:
    """Return the fault for a body that ended early, for clients that closed only their sending side."""
    return RequestFault(HTTPStatus.BAD_REQUEST, "The body ended before it was complete. Nothing was stored.")
