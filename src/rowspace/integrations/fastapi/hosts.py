"""Check the Host header of a server for this machine only, as a protection against DNS rebinding."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from rowspace.integrations.fastapi.problems import problem_response
from rowspace.integrations.rest.ids import HEADER, request_id
from rowspace.integrations.rest.problems import Problem

__all__ = ["LocalApp"]


class LocalApp:
    """An application that any program on this machine may call, but no web page of another origin.

    Such a page can make the name of its own host resolve to this machine. A browser then treats the responses as those
    of the page's own origin, and only the Host header shows the difference.

    Args:
        app: the application.
        origins: origins whose pages may call; `*` means any.
    """

    def __init__(self, app: Any, origins: Iterable[str]) -> None:
        self._app = app
        self._names = {_name(origin.partition("://")[2]) for origin in origins if origin != "*"}
        self._any = "*" in origins

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request, or reject it by its Host header."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers({})
        host = headers.get("host")
        app = self._app
        if host and not self._any and not self._is_known(_name(host)):
            app = problem_response(_misdirected(host), request_id(headers.get(HEADER)))
        await app(scope, receive, send)

    def _is_known(self, name: str | None) -> bool:
        # An IP address needs no DNS, so it cannot be rebound.
        return name == "localhost" or name in self._names or _is_address(name)


def _name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_address(name: str | None) -> bool:
    try:
        ipaddress.ip_address(name or "")
    except ValueError:
        return False
    return True


def _misdirected(host: str) -> Problem:
    detail = (
        f"Expected localhost or an IP address as the host, got {host!r:.120}: this server has no API keys and serves "
        "this machine only. Add the origin to ROWSPACE_CORS_ORIGINS, or set ROWSPACE_API_KEYS."
    )
    return Problem(HTTPStatus.MISDIRECTED_REQUEST, detail)
