"""The endpoint of questions and answers."""

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

#: As nginx counts them; no standard has a status for it.
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
        """Return an answer from the documents with its numbered sources, whole or as server-sent events.

        The events are `sources`, then each `token`, then the whole `answer`; `error` where it fails on the way.
        """
        access_of(request).check(body.collection)
        body = checked_search(body, backend.settings)
        question = body.request()
        if not body.stream and EVENTS not in request.headers.get("accept", ""):
            answer = await _unless_left(request, backend.answers.aanswer(question))
            return Response(answer.model_dump_json(), media_type=JSON)
        # Begun here: what fails before the first event is answered as any other problem.
        events = backend.answers.astream(question)
        first = await _unless_left(request, anext(events))
        return _Events(first, events, own_request_id(request))


class _Events(StreamingResponse):
    """Sends events, and closes their generator where the caller leaves: Starlette would leave it as it is.

    It waits for the client most of the time, outside of the generator, which nothing tells then.
    """

    def __init__(self, first: AnswerEvent, events: AsyncGenerator[AnswerEvent, None], identity: str) -> None:
        self._events, self._texts = events, _texts(first, events, identity)
        super().__init__(self._texts, media_type=EVENTS, headers=EVENT_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        # Both, as the outer one has the inner one closed only where it has begun.
        async with aclosing(self._events), aclosing(self._texts):
            await super().__call__(scope, receive, send)


async def _unless_left(request: Request, answer: Awaitable[T]) -> T:
    """Return what is awaited, and end it where the caller hangs up before: a model is paid for each word.

    Raises:
        RequestFault: the caller has left; it is for the metrics, as nobody else sees it.
    """
    asked, left = asyncio.ensure_future(answer), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({asked, left}, return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            raise RequestFault(_LEFT, "The caller has left before the answer.")
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
    except Exception as error:  # noqa: BLE001 -- whatever it is, the reader is told
        yield failure_text(error, identity)
