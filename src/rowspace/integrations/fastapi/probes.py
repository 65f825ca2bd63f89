"""Endpoints for whatever runs and watches the server. They need no key."""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from rowspace.integrations.fastapi.backend import Backend
from rowspace.integrations.fastapi.openapi import problems
from rowspace.integrations.fastapi.problems import problem_response
from rowspace.integrations.fastapi.routes import route_class
from rowspace.integrations.rest.ids import request_id
from rowspace.integrations.rest.metrics import CONTENT_TYPE
from rowspace.integrations.rest.problems import Problem
from rowspace.services import areadiness

__all__ = ["probes_router"]


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """The process can serve."""

    status: Literal["ready"] = "ready"


def probes_router(backend: Backend) -> APIRouter:
    """Return the router of the probes and the metrics."""
    router = APIRouter(route_class=route_class(backend, guarded=False), tags=["operations"])

    @router.get("/healthz", summary="Liveness", response_model=Alive)
    async def healthz() -> Alive:
        """Answer, without a look at the database."""
        return Alive()

    @router.get("/readyz", summary="Readiness", response_model=Ready, responses=problems(503, always=False))
    async def readyz() -> Ready | Response:
        """Tell whether the database answers, is at the newest migration, and has no INVALID index."""
        found = await areadiness(backend.database)
        if found.ready:
            return Ready()
        checks = found.model_dump()
        detail = " ".join(filter(None, checks.values()))
        problem = Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": "5"}, more={"checks": checks})
        return problem_response(problem, request_id(None))

    if backend.settings.metrics:
        text = {"content": {"text/plain": {"schema": {"type": "string"}}}}

        @router.get("/metrics", summary="Prometheus metrics", response_class=Response, responses={200: text})
        async def metrics() -> Response:
            """Return the metrics in Prometheus' text format."""
            return Response(backend.metrics.text(), media_type=CONTENT_TYPE)

    return router
