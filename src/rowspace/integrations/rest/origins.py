"""Which pages may call: the headers of cross-origin resource sharing, for frameworks that bring none along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["ALLOWED_HEADERS", "EXPOSED_HEADERS", "METHODS", "origin_headers"]

METHODS = ("GET", "POST", "DELETE")
ALLOWED_HEADERS = ("Authorization", "Content-Type", "X-Request-ID")
EXPOSED_HEADERS = ("X-Request-ID", "Location", "Retry-After")

#: Seconds for which a browser remembers what it may do.
_REMEMBERED = "600"


def origin_headers(headers: Mapping[str, str], allowed: Sequence[str], *, method: str) -> dict[str, str]:
    """Return the headers that allow the page of a request to call, or none.

    Args:
        headers: those of the request.
        allowed: origins; `*` is any.
        method: that of the request: OPTIONS asks what the page may do.
    """
    origin = headers.get("Origin")
    if not allowed or origin is None:
        return {}
    # A cache that keeps the answer for one origin must not give it to another.
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
