"""The endpoint for comparison: FastAPI, an asyncpg pool, and a handwritten statement."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import numpy as np
from fastapi import FastAPI, Request
from pgvector.asyncpg import register_vector
from pydantic import BaseModel

__all__ = ["Hit", "Result", "Search", "create_app"]


class Search(BaseModel):
    """The request."""

    collection: str
    vector: list[float]
    k: int = 10


class Hit(BaseModel):
    """A hit."""

    id: str
    content: str
    metadata: dict[str, Any]
    distance: float


class Result(BaseModel):
    """The response."""

    hits: list[Hit]


async def _prepare(connection: asyncpg.Connection) -> None:
    await register_vector(connection)
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)


def create_app() -> FastAPI:
    """Return the application. BENCH_DSN and BENCH_SQL determine what it searches."""
    sql = os.environ["BENCH_SQL"]

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        size = int(os.environ["BENCH_POOL"])
        async with asyncpg.create_pool(os.environ["BENCH_DSN"], init=_prepare, min_size=size, max_size=size) as pool:
            app.state.pool = pool
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/api/search")
    async def search(body: Search, request: Request) -> Result:
        rows = await request.app.state.pool.fetch(sql, np.asarray(body.vector, np.float32))
        return Result(hits=[Hit(**{key: row[key] for key in Hit.model_fields}) for row in rows[: body.k]])

    return app
