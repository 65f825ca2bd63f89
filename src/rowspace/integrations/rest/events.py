"""Server-sent events of an answer."""

from __future__ import annotations

import json

from rowspace.integrations.rag.models import AnswerEvent
from rowspace.integrations.rest.problems import log_failure, problem_of

__all__ = ["EVENTS", "EVENT_HEADERS", "event_text", "failure_text"]

EVENTS = "text/event-stream"

#: Proxies must not store or buffer the events.
EVENT_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def event_text(event: AnswerEvent) -> str:
    """Return an event of the answer service in the wire format."""
    return _event(event.type, event.model_dump_json(exclude_none=True))


def failure_text(error: Exception, request: str) -> str:
    """Log a failure and return its event. The status has already been sent, so only an event can report it."""
    problem = problem_of(error)
    log_failure(error, problem, request)
    return _event("error", json.dumps(problem.body(request), ensure_ascii=False))


def _event(kind: str, data: str) -> str:
    return f"event: {kind}\ndata: {data}\n\n"
