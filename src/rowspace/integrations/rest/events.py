"""Server-sent events of an answer: how they are written, and when a caller asks for them."""

from __future__ import annotations

import json

from rowspace.integrations.rag.models import AnswerEvent
from rowspace.integrations.rest.problems import log_failure, problem_of

__all__ = ["EVENTS", "EVENT_HEADERS", "event_text", "failure_text"]

EVENTS = "text/event-stream"

#: Nobody on the way is to keep the events, or to wait until there are more of them.
EVENT_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def event_text(event: AnswerEvent) -> str:
    """Return an event of the answer service as it is sent."""
    return _event(event.type, event.model_dump_json(exclude_none=True))


def failure_text(error: Exception, request: str) -> str:
    """Return the event of a failure, and log it: the status is sent, an event is what is left to tell it."""
    problem = problem_of(error)
    log_failure(error, problem, request)
    return _event("error", json.dumps(problem.body(request), ensure_ascii=False))


def _event(kind: str, data: str) -> str:
    return f"event: {kind}\ndata: {data}\n\n"
