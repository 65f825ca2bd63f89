"""The route class of every endpoint: limits before a body is read, problems, request ids, metrics.

In the route, not in middleware, so that a router included in somebody's application brings all of it along.
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

#: Bytes beyond the limit that are read and thrown away, and for how many seconds.
_DRAINED, _DRAINING = 2**20, 1.0

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
F = TypeVar("F", bound=Callable[..., Any])


def route_class(backend: Backend, *, guarded: bool = True) -> type[APIRoute]:
    """Return the route class of the endpoints of a backend.

    Args:
        backend: whose limits, keys and metrics count.
        guarded: whether the caller needs a key, where there are any.
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
        except Exception as error:  # noqa: BLE001 -- whatever it is, the caller is told in problem+json
            response = answer_to(error, identity)
        response.headers[HEADER] = identity
        backend.metrics.count(request.method, route, status=response.status_code, seconds=perf_counter() - began)
        return response

    return serve


def readable(router: APIRouter | FastAPI, path: str, **described: Any) -> Callable[[F], F]:
    """Return the decorator of an endpoint that answers GET, and HEAD, which FastAPI does not add by itself."""

    def decorate(endpoint: F) -> F:
        router.get(path, **described)(endpoint)
        return router.head(path, **{**described, "include_in_schema": False})(endpoint)

    return decorate


def access_of(request: Request) -> Access:
    """Return what the caller may do."""
    access: Access = request.scope["rowspace.access"]
    return access


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read on for a while: who is still sending when the connection is closed does not get to see why."""
    read = 0
    with suppress(TimeoutError):  # who sends nothing reads the answer
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
            RequestFault: it is compressed or too large, breaks off, or nothing came for too long.
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
        """Yield chunks, none of which may take long: a connection to the database waits for them."""
        while True:
            try:
                async with asyncio.timeout(self._settings.upload_idle):
                    chunk = await anext(chunks, None)
            except TimeoutError:
                detail = f"Nothing came for {self._settings.upload_idle:g} seconds: the body was given up."
                closing = {"Connection": "close"}
                raise RequestFault(HTTPStatus.REQUEST_TIMEOUT, detail, headers=closing) from None
            if chunk is None:
                return
            yield chunk

    async def body(self) -> bytes:
        """Return the body; b"" for NDJSON, which an endpoint streams.

        Raises:
            RequestFault: it is too large, or not JSON by its Content-Type.
        """
        if self.streamed:
            return b""
        body = await super().body()
        self.empty = not body
        if body:
            check_media_type(self.headers.get("content-type"))
        return body

    async def json(self) -> Any:
        """Return the value of the body.

        Raises:
            RequestFault: it is no JSON.
        """
        return read_json(await self.body())
