"""Endpoints for systems that run and monitor the server. They need no key."""

from __future__ import annotations

from fastapi import APIRouter, Response

from rowspace.integrations.fastapi.backend import Backend
from rowspace.integrations.fastapi.openapi import described
from rowspace.integrations.fastapi.routes import readable, route_class
from rowspace.integrations.rest.metrics import CONTENT_TYPE
from rowspace.integrations.rest.probes import Alive, Ready
from rowspace.integrations.rest.problems import unready
from rowspace.services import areadiness

__all__ = ["probes_router"]


def probes_router(backend: Backend) -> APIRouter:
    """Return the router of the probes and the metrics."""
    router = APIRouter(route_class=route_class(backend, guarded=False), tags=["operations"])

    @readable(router, "/healthz", summary="Liveness", response_model=Alive, **described("healthz", always=False))
    async def healthz() -> Alive:
        """Return a response, without accessing the database."""
        return Alive()

    @readable(router, "/readyz", summary="Readiness", response_model=Ready, **described("readyz", 503, always=False))
    async def readyz() -> Ready:
        """Return whether the database responds, is at the newest migration, and has no INVALID index."""
        found = await areadiness(backend.database)
        if not found.ready:
            raise unready(found)
        return Ready()

    if backend.settings.metrics:
        text = {"content": {"text/plain": {"schema": {"type": "string"}}}}

        @readable(router, "/metrics", summary="Prometheus metrics", response_class=Response, responses={200: text})
        async def metrics() -> Response:
            """Return the metrics in Prometheus's text format."""
            return Response(backend.metrics.text(), media_type=CONTENT_TYPE)

    return router
