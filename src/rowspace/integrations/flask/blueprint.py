"""The blueprint with the complete contract, to register in your application."""

from __future__ import annotations

from flask import Blueprint
from flask.blueprints import BlueprintSetupState
from werkzeug.routing import BaseConverter

from rowspace.integrations.flask import pages, views
from rowspace.integrations.flask.backend import NAME
from rowspace.integrations.flask.calls import View, served
from rowspace.integrations.flask.chat import chat
from rowspace.integrations.flask.probes import healthz, metrics, readyz
from rowspace.integrations.rest.description import FILE
from rowspace.integrations.rest.pages import PREFIX

__all__ = ["make_blueprint"]

_COLLECTION = "/api/collections/<name>"

_ENDPOINTS: tuple[tuple[str, str, View], ...] = (
    ("POST", "/api/search", views.search),
    ("POST", "/api/chat", chat),
    ("GET", "/api/collections", views.list_collections),
    ("POST", "/api/collections", views.create_collection),
    ("GET", _COLLECTION, views.get_collection),
    ("DELETE", _COLLECTION, views.delete_collection),
    ("POST", f"{_COLLECTION}/documents", views.put_documents),
    ("GET", f"{_COLLECTION}/documents/<rowspace:document_id>", views.get_document),
    ("POST", f"{_COLLECTION}/count", views.count_documents),
    ("POST", f"{_COLLECTION}/scroll", views.scroll_documents),
    ("POST", f"{_COLLECTION}/delete", views.delete_documents),
)

_PROBES: tuple[tuple[str, View], ...] = (
    ("/healthz", healthz),
    ("/readyz", readyz),
    ("/metrics", metrics),
)

_PAGES: tuple[tuple[str, View], ...] = (
    (f"/{FILE}", pages.openapi),
    ("/docs", pages.swagger),
    ("/redoc", pages.redoc),
    (f"/{PREFIX}/<name>", pages.asset),
)


class _Id(BaseConverter):
    """The id of a document. Slashes can be anywhere in it, which Werkzeug's `path` does not allow."""

    regex = ".+"
    part_isolating = False


def make_blueprint(name: str = NAME, *, probes: bool = True, docs: bool = True) -> Blueprint:
    """Return a blueprint with the REST contract, for `app.register_blueprint(..., url_prefix=...)`.

    It uses the `Rowspace` extension of the application that handles a request.

    Args:
        name: the name of the blueprint, for `url_for`.
        probes: whether to include `/healthz`, `/readyz` and `/metrics`.
        docs: whether to include `/openapi.json`, `/docs` and `/redoc`.
    """
    blueprint = Blueprint(name, __name__)

    def add_converter(state: BlueprintSetupState) -> None:
        state.app.url_map.converters["rowspace"] = _Id

    blueprint.record(add_converter)
    for method, path, view in _ENDPOINTS:
        blueprint.add_url_rule(path, view.__name__, served(view), methods=[method])
    for path, view in (*(_PROBES if probes else ()), *(_PAGES if docs else ())):
        blueprint.add_url_rule(path, view.__name__, served(view, guarded=False))
    return blueprint
