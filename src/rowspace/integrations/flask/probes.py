"""Endpoints for systems that run and monitor the server. They need no key."""

from __future__ import annotations

from flask import Response
from werkzeug.exceptions import NotFound

from rowspace.integrations.flask.calls import Call, answer
from rowspace.integrations.rest.metrics import CONTENT_TYPE
from rowspace.integrations.rest.probes import Alive, Ready
from rowspace.integrations.rest.problems import unready
from rowspace.services import readiness

__all__ = ["healthz", "metrics", "readyz"]


def healthz(_: Call) -> Response:
    """Return a response, without accessing the database."""
    return answer(Alive())


def readyz(call: Call) -> Response:
    """Return whether the database responds, is at the newest migration, and has no INVALID index."""
    found = readiness(call.backend.database)
    if not found.ready:
        raise unready(found)
    return answer(Ready())


def metrics(call: Call) -> Response:
    """Return the metrics in Prometheus's text format."""
    if not call.backend.settings.metrics:
        raise NotFound
    return Response(call.backend.metrics.text(), content_type=CONTENT_TYPE)
