"""The chat endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from rowspace.integrations.fastapi.backend import Backend
from rowspace.integrations.fastapi.openapi import described
from rowspace.integrations.fastapi.problems import own_request_id
from rowspace.integrations.fastapi.routes import access_of
from rowspace.integrations.rag.models import Answer, AnswerEvent
from rowspace.integrations.rest.bodies import JSON
from rowspace.integrations.rest.checks import checked_search
from rowspace.integrations.rest.errors import RequestFault
from rowspace.integrations.rest.events import EVENT_HEADERS, EVENTS, event_text, failure_text
from rowspace.integrations.rest.queries import ChatBody

__all__ = ["add_chat"]

T = TypeVar("T")

#: nginx's code for a client that closed the connection. No standard defines one.
_LEFT = 499


def add_chat(router: APIRouter, backend: Backend) -> None:
    """Add the endpoint that answers questions."""
    stream = {"schema": {"type": "string"}, "example": 'event: token\ndata: {"type": "token", "token": "An"}\n\n'}

    @router.post(
        "/api/chat",
        tags=["chat"],
        summary="Answer a question",
        response_model=Answer,
        **described("chat", 400, 404, 409, 413, 415, 422, 502, content={EVENTS: stream}),
    )
    async def chat(body: ChatBody, request: Request) -> Response:
        """Return an answer from the documents with its numbered sources, complete or as server-sent events.

        The events are `sources`, each `token`, and the complete `answer`. An `error` ends the stream after a failure.
        """
        access_of(request).check(body.collection)
        body = checked_search(body, backend.settings)
        question = body.request()
        if not body.stream and EVENTS not in request.headers.get("accept", ""):
            answer = await _unless_left(request, backend.answers.aanswer(question))
            return Response(answer.model_dump_json(), media_type=JSON)
        # Wait for the first event, so that a failure before it is reported with a status, like any other problem.
        events = backend.answers.astream(question)
        first = await _unless_left(request, anext(events))
        return _Events(first, events, own_request_id(request))


class _Events(StreamingResponse):
    """Sends events, and closes their generator if the client disconnects, which Starlette does not do.

    A response spends most of its time waiting for the client, and the generator does not notice a disconnect then.
    """

    def __init__(self, first: AnswerEvent, events: AsyncGenerator[AnswerEvent, None], identity: str) -> None:
        self._events, self._texts = events, _texts(first, events, identity)
        super().__init__(self._texts, media_type=EVENTS, headers=EVENT_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        # Close both: the outer generator closes the inner one only if it has started.
        async with aclosing(self._events), aclosing(self._texts):
            await super().__call__(scope, receive, send)


async def _unless_left(request: Request, answer: Awaitable[T]) -> T:
    """Return the result of `answer`, or cancel it if the client disconnects, because models charge for each token.

    Raises:
        RequestFault: the client disconnected. Only the metrics see this.
    """
    asked, left = asyncio.ensure_future(answer), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({asked, left}, return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            raise RequestFault(_LEFT, "The client disconnected before the response.")
        return asked.result()
    finally:
        asked.cancel()
        left.cancel()
        await asyncio.gather(asked, left, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _texts(
    first: AnswerEvent, events: AsyncGenerator[AnswerEvent, None], identity: str
) -> AsyncGenerator[str, None]:
    yield event_text(first)
    try:
        async for event in events:
            yield event_text(event)
    except Exception as error:  # noqa: BLE001 -- the client learns about any failure
        yield failure_text(error, identity)
