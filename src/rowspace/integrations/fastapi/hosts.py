"""Which names a server for this machine alone answers to: not to one that a page elsewhere made an address of it."""

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
    """An application that whoever is on this machine may call, but no page of another origin.

    Such a page may have the name of its own host become the address of this machine, after which a browser takes the
    answers for those of its own origin: only the Host header tells.

    Args:
        app: the application.
        origins: those whose pages may call; `*` is any.
    """

    def __init__(self, app: Any, origins: Iterable[str]) -> None:
        self._app = app
        self._names = {_name(origin.partition("://")[2]) for origin in origins if origin != "*"}
        self._any = "*" in origins

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request, or refuse it by its Host."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers({})
        host = headers.get("host")
        app = self._app
        if host and not self._any and not self._is_known(_name(host)):
            app = problem_response(_misdirected(host), request_id(headers.get(HEADER)))
        await app(scope, receive, send)

    def _is_known(self, name: str | None) -> bool:
        # Nobody can make another address of an address.
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
        f"This server has no API keys and is for this machine alone, as localhost or by address, got the host "
        f"{host!r:.120}. Name its origin in ROWSPACE_CORS_ORIGINS, or set ROWSPACE_API_KEYS."
    )
    return Problem(HTTPStatus.MISDIRECTED_REQUEST, detail)
