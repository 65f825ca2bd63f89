"""The router with the complete contract, to include in your application."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.security import HTTPBearer

from rowspace.engine import AsyncDatabase
from rowspace.integrations.fastapi.backend import Backend
from rowspace.integrations.fastapi.chat import add_chat
from rowspace.integrations.fastapi.collections import add_collections
from rowspace.integrations.fastapi.documents import add_documents
from rowspace.integrations.fastapi.probes import probes_router
from rowspace.integrations.fastapi.routes import route_class
from rowspace.integrations.fastapi.search import add_search
from rowspace.integrations.rag import AnswerService
from rowspace.integrations.rest.settings import ServerSettings, read_settings
from rowspace.services import Embedder

__all__ = ["make_router", "router_of"]


def make_router(
    database: AsyncDatabase,
    embedder: Embedder | None = None,
    *,
    settings: ServerSettings | None = None,
    answers: AnswerService | None = None,
    probes: bool = True,
) -> APIRouter:
    """Return a router with the REST contract, for `app.include_router`.

    Args:
        database: an open database, which the caller closes.
        embedder: converts texts to vectors; without one, requests must contain vectors.
        settings: limits and API keys; by default from the environment variables `ROWSPACE_*`.
        answers: an `AnswerService` for `/api/chat`; by default one on the same database.
        probes: whether to include `/healthz`, `/readyz` and `/metrics`.

    Raises:
        ConfigurationError: a setting is invalid, `database` is not an `AsyncDatabase`, or the model does not exist.
    """
    backend = Backend(settings or read_settings(), embedder, answers=answers)
    backend.connect(database)
    return router_of(backend, probes=probes)


def router_of(backend: Backend, *, probes: bool = True) -> APIRouter:
    """Return the router of a backend, whose database can be connected later."""
    # Only for the OpenAPI document. The route class checks the key before it reads a body.
    security = [Depends(HTTPBearer(auto_error=False))] if backend.settings.api_keys else []
    router = APIRouter(route_class=route_class(backend), dependencies=security)
    # A flat router with the most frequent endpoints first: FastAPI tries routes in order, level by level.
    add_search(router, backend)
    add_chat(router, backend)
    add_documents(router, backend)
    add_collections(router, backend)
    if probes:
        whole = APIRouter()
        whole.include_router(router)
        whole.include_router(probes_router(backend))
        return whole
    return router
