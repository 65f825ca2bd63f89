"""The OpenAPI document and the documentation pages. They need no key."""

from __future__ import annotations

from flask import Response, send_file
from werkzeug.exceptions import NotFound

from rowspace.integrations.flask.backend import Backend
from rowspace.integrations.flask.calls import Call
from rowspace.integrations.rest import pages
from rowspace.integrations.rest.bodies import JSON
from rowspace.integrations.rest.description import description_text

__all__ = ["asset", "openapi", "redoc", "swagger"]


def openapi(call: Call) -> Response:
    """Return the OpenAPI document."""
    return Response(description_text(_described(call).settings), content_type=JSON)


def swagger(call: Call) -> Response:
    """Return the Swagger UI page."""
    return Response(pages.swagger_page(_described(call).assets))


def redoc(call: Call) -> Response:
    """Return the ReDoc page."""
    return Response(pages.redoc_page(_described(call).assets))


def asset(call: Call, name: str) -> Response:
    """Return a script or a style of the pages."""
    path = _described(call).assets.path(name)
    if path is None:
        raise NotFound
    return send_file(path)


def _described(call: Call) -> Backend:
    if not call.backend.settings.docs:
        raise NotFound
    return call.backend
