"""The route class of all endpoints: limits before a body is read, problems, request ids and metrics.

A route class, unlike middleware, applies wherever the router is included.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from http import HTTPStatus
from time import perf_counter
from typing import Any, TypeVar

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from rowspace.integrations.fastapi.backend import Backend
from rowspace.integrations.fastapi.problems import answer_to, own_request_id
from rowspace.integrations.rest.bodies import NDJSON, Meter, media_type, read_json
from rowspace.integrations.rest.checks import check_coding, check_media_type
from rowspace.integrations.rest.errors import RequestFault, broken_off
from rowspace.integrations.rest.ids import HEADER
from rowspace.integrations.rest.keys import Access
from rowspace.integrations.rest.settings import ServerSettings

__all__ = ["LimitedRequest", "access_of", "readable", "route_class"]

#: How many bytes beyond the limit to read and discard, and for how many seconds.
_DRAINED, _DRAINING = 2**20, 1.0

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
F = TypeVar("F", bound=Callable[..., Any])


def route_class(backend: Backend, *, guarded: bool = True) -> type[APIRoute]:
    """Return the route class of the endpoints of a backend.

    Args:
        backend: the backend with the limits, keys and metrics.
        guarded: whether the caller needs a key, if the server has any.
    """

    class Route(APIRoute):
        def get_route_handler(self) -> Handler:
            return _served(super().get_route_handler(), backend, self.path_format, guarded=guarded)

    return Route


def _served(handler: Handler, backend: Backend, route: str, *, guarded: bool) -> Handler:
    async def serve(request: Request) -> Response:
        began = perf_counter()
        identity = own_request_id(request)
        try:
            if guarded:
                request.scope["rowspace.access"] = backend.keyring.access(request.headers.get("authorization"))
                backend.check_started()
            response = await handler(LimitedRequest(request, backend.settings))
        except Exception as error:  # noqa: BLE001 -- the caller gets any failure as problem+json
            response = answer_to(error, identity)
        response.headers[HEADER] = identity
        backend.metrics.count(request.method, route, status=response.status_code, seconds=perf_counter() - began)
        return response

    return serve


def readable(router: APIRouter | FastAPI, path: str, **described: Any) -> Callable[[F], F]:
    """Return a decorator for an endpoint that handles GET and HEAD. FastAPI does not add HEAD by itself."""

    def decorate(endpoint: F) -> F:
        router.get(path, **described)(endpoint)
        return router.head(path, **{**described, "include_in_schema": False})(endpoint)

    return decorate


def access_of(request: Request) -> Access:
    """Return the access rights of the caller."""
    access: Access = request.scope["rowspace.access"]
    return access


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Discard data for a while: a client that is still sending when the connection closes cannot read the response."""
    read = 0
    with suppress(TimeoutError):  # a client that sends nothing reads the response
        async with asyncio.timeout(_DRAINING):
            async for chunk in chunks:
                read += len(chunk)
                if read > _DRAINED:
                    return


class LimitedRequest(Request):
    """A request whose body is measured while it is read, and parsed strictly."""

    def __init__(self, request: Request, settings: ServerSettings) -> None:
        super().__init__(request.scope, request.receive)
        self.streamed = media_type(request.headers.get("content-type")) in NDJSON
        self.empty = True
        self._settings = settings

    async def stream(self) -> AsyncIterator[bytes]:  # type: ignore[override]
        """Yield the body in chunks.

        Raises:
            RequestFault: the body is compressed or too large, ends early, or pauses for too long.
        """
        meter = Meter(self._settings.max_upload if self.streamed else self._settings.max_body)
        chunks = super().stream()
        try:
            try:
                check_coding(self.headers.get("content-encoding"))
                meter.announced(self.headers.get("content-length"))
                async for chunk in self._impatient(chunks) if self.streamed else chunks:
                    yield meter.read(chunk)
            except RequestFault:
                await _drain(chunks)
                raise
        except ClientDisconnect as error:
            raise broken_off() from error

    async def _impatient(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield chunks, each within a time limit, because the load holds a database connection meanwhile."""
        while True:
            try:
                async with asyncio.timeout(self._settings.upload_idle):
                    chunk = await anext(chunks, None)
            except TimeoutError:
                detail = f"No data arrived for {self._settings.upload_idle:g} seconds. Nothing was stored."
                closing = {"Connection": "close"}
                raise RequestFault(HTTPStatus.REQUEST_TIMEOUT, detail, headers=closing) from None
            if chunk is None:
                return
            yield chunk

    async def body(self) -> bytes:
        """Return the body, or b"" for NDJSON, which the endpoint streams.

        Raises:
            RequestFault: the body is too large, or its Content-Type is not JSON.
        """
        if self.streamed:
            return b""
        body = await super().body()
        self.empty = not body
        if body:
            check_media_type(self.headers.get("content-type"))
        return body

    async def json(self) -> Any:
        """Return the parsed body.

        Raises:
            RequestFault: the body is not JSON.
        """
        return read_json(await self.body())
