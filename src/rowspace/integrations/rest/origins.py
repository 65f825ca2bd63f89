"""Headers for cross-origin resource sharing (CORS), for frameworks without built-in support."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["ALLOWED_HEADERS", "EXPOSED_HEADERS", "METHODS", "origin_headers"]

METHODS = ("GET", "POST", "DELETE")
ALLOWED_HEADERS = ("Authorization", "Content-Type", "X-Request-ID")
EXPOSED_HEADERS = ("X-Request-ID", "Location", "Retry-After")

#: How many seconds a browser may cache a preflight response.
_REMEMBERED = "600"


def origin_headers(headers: Mapping[str, str], allowed: Sequence[str], *, method: str) -> dict[str, str]:
    """Return the headers that allow the page of a request to call, or an empty dictionary.

    Args:
        headers: the headers of the request.
        allowed: origins; `*` means any.
        method: the method of the request. OPTIONS is a preflight request.
    """
    origin = headers.get("Origin")
    if not allowed or origin is None:
        return {}
    # A cache must not serve the response for one origin to another.
    varied = {"Vary": "Origin"}
    if origin not in allowed and "*" not in allowed:
        return varied
    granted = {"Access-Control-Allow-Origin": "*" if "*" in allowed else origin, **varied}
    if method == "OPTIONS" and "Access-Control-Request-Method" in headers:
        return {
            **granted,
            "Access-Control-Allow-Methods": ", ".join(METHODS),
            "Access-Control-Allow-Headers": ", ".join(ALLOWED_HEADERS),
            "Access-Control-Max-Age": _REMEMBERED,
        }
    return {**granted, "Access-Control-Expose-Headers": ", ".join(EXPOSED_HEADERS)}
