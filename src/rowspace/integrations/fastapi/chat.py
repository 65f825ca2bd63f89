"""The endpoint of questions and answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Protocol

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from rowspace.integrations.fastapi.backend import Backend
from rowspace.integrations.fastapi.openapi import described
from rowspace.integrations.fastapi.routes import access_of
from rowspace.integrations.rag.models import Answer, AnswerEvent
from rowspace.integrations.rest.bodies import JSON
from rowspace.integrations.rest.checks import check_search
from rowspace.integrations.rest.events import EVENT_HEADERS, EVENTS, event_text, failure_text
from rowspace.integrations.rest.ids import HEADER, request_id
from rowspace.integrations.rest.queries import ChatBody

__all__ = ["add_chat"]


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
        check_search(body, backend.settings)
        question = body.request()
        if not body.stream and EVENTS not in request.headers.get("accept", ""):
            return Response((await backend.answers.aanswer(question)).model_dump_json(), media_type=JSON)
        # Begun here: what fails before the first event is answered as any other problem.
        events = backend.answers.astream(question)
        first = await anext(events)
        identity = request_id(request.headers.get(HEADER))
        return StreamingResponse(_sent(first, events, identity), media_type=EVENTS, headers=EVENT_HEADERS)


class _Events(Protocol):
    def __aiter__(self) -> AsyncIterator[AnswerEvent]: ...
    async def aclose(self) -> None: ...


async def _sent(first: AnswerEvent, events: _Events, identity: str) -> AsyncIterator[str]:
    async with aclosing(events):
        yield event_text(first)
        try:
            async for event in events:
                yield event_text(event)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the reader is told
            yield failure_text(error, identity)
