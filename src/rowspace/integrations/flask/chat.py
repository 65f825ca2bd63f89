"""The chat endpoint."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

from flask import Response, request

from rowspace.integrations.flask.calls import Call, answer, body_of
from rowspace.integrations.rag.models import AnswerEvent
from rowspace.integrations.rest.checks import checked_search
from rowspace.integrations.rest.events import EVENT_HEADERS, EVENTS, event_text, failure_text
from rowspace.integrations.rest.queries import ChatBody

__all__ = ["chat"]


def chat(call: Call) -> Response:
    """Return an answer from the documents with its numbered sources, complete or as server-sent events."""
    body: ChatBody = body_of(ChatBody, call.backend)
    call.access.check(body.collection)
    body = checked_search(body, call.backend.settings)
    question = body.request()
    if not body.stream and EVENTS not in request.headers.get("Accept", ""):
        return answer(call.backend.answers.answer(question))
    # Wait for the first event, so that a failure before it is reported with a status, like any other problem.
    events = call.backend.answers.stream(question)
    first = next(events)
    return Response(_sent(first, events, call.identity), content_type=EVENTS, headers=EVENT_HEADERS)


def _sent(first: AnswerEvent, events: Generator[AnswerEvent, Any, Any], identity: str) -> Iterator[str]:
    # If the client disconnects, close the model's stream and its connection at once.
    with closing(events):
        yield event_text(first)
        try:
            for event in events:
                yield event_text(event)
        except Exception as error:  # noqa: BLE001 -- the client learns about any failure
            yield failure_text(error, identity)
