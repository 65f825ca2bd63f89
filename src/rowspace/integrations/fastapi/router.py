"""The router of the whole contract, to include in an application of one's own."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends
from fastapi.security import HTTPBearer

from rowspace.engine import AsyncDatabase
from rowspace.integrations.fastapi.backend import Backend
from rowspace.integrations.fastapi.collections import collections_router
from rowspace.integrations.fastapi.documents import documents_router
from rowspace.integrations.fastapi.probes import probes_router
from rowspace.integrations.fastapi.search import search_router
from rowspace.integrations.rest.settings import ServerSettings
from rowspace.services import Embedder

__all__ = ["make_router", "router_of"]


def make_router(
    database: AsyncDatabase,
    embedder: Embedder | None = None,
    *,
    settings: ServerSettings | None = None,
    answers: Any = None,
    probes: bool = True,
) -> APIRouter:
    """Return a router with the REST contract, for `app.include_router`.

    Args:
        database: yours: it is neither opened nor closed here.
        embedder: turns texts into vectors; without one, requests bring vectors.
        settings: limits and API keys; by default from the variables `ROWSPACE_*`.
        answers: answers questions at `/api/chat`, which is not there without it.
        probes: whether `/healthz`, `/readyz` and `/metrics` are part of it.
    """
    backend = Backend(settings or ServerSettings(), embedder, answers=answers)
    backend.connect(database)
    return router_of(backend, probes=probes)


def router_of(backend: Backend, *, probes: bool = True) -> APIRouter:
    """Return the router of a backend, whose database may come later."""
    # For the description only: the route class asks for the key before a body is read.
    security = [Depends(HTTPBearer(auto_error=False))] if backend.settings.api_keys else []
    router = APIRouter()
    for part in (collections_router, documents_router, search_router):
        router.include_router(part(backend), prefix="/api", dependencies=security)
    if probes:
        router.include_router(probes_router(backend))
    return router
