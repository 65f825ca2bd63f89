"""A complete application: `uvicorn --factory rowspace.integrations.fastapi:create_app`, or `rowspace serve`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI

from rowspace.engine import AsyncDatabase
from rowspace.integrations._embedders import embedder_or_none
from rowspace.integrations.fastapi.backend import Backend
from rowspace.integrations.fastapi.openapi import TAGS
from rowspace.integrations.fastapi.pages import add_pages
from rowspace.integrations.fastapi.problems import add_problem_handlers
from rowspace.integrations.fastapi.router import router_of
from rowspace.integrations.rag import AnswerService
from rowspace.integrations.rest.databases import database_url, engine_options
from rowspace.integrations.rest.description import installed_version, tidied
from rowspace.integrations.rest.origins import ALLOWED_HEADERS, EXPOSED_HEADERS, METHODS
from rowspace.integrations.rest.settings import ServerSettings, read_settings
from rowspace.services import Embedder

__all__ = ["create_app"]


def create_app(
    settings: ServerSettings | None = None,
    *,
    database: AsyncDatabase | None = None,
    embedder: Embedder | None = None,
    answers: AnswerService | None = None,
) -> FastAPI:
    """Return an application that serves the REST contract.

    Args:
        settings: by default from the environment variables `ROWSPACE_*`.
        database: an open database that the caller closes. By default, the application opens that of the settings when
            it starts, and closes it when it stops.
        embedder: by default that of the settings.
        answers: an `AnswerService` for `/api/chat`; by default one on the same database.

    Raises:
        ConfigurationError: a setting is invalid, `database` is not an `AsyncDatabase`, or the embedder, the model or
            an asset of the pages does not exist.
        MissingExtra: the embedder or the model is not installed.
    """
    settings = settings or read_settings()
    embedder = embedder if embedder is not None else embedder_or_none(settings.embedder)
    backend = Backend(settings, embedder, answers=answers)
    if database is not None:
        backend.connect(database)
    app = _Application(
        title="Rowspace",
        summary="Documents and vectors in PostgreSQL + pgvector.",
        version=installed_version(),
        openapi_tags=TAGS,
        # Relative to the OpenAPI document, so it works below any path prefix that a proxy strips.
        servers=[{"url": "."}],
        root_path_in_servers=False,
        # Short operation ids for generated clients: `put_documents`, without the path.
        generate_unique_id_function=lambda route: route.name,
        lifespan=None if database is not None else _lifespan(backend),
        # FastAPI's own pages load everything from a CDN.
        docs_url=None,
        # A trailing slash is a 404, as in Flask. A redirect would contain the host by which a proxy calls this server.
        redirect_slashes=False,
        redoc_url=None,
        openapi_url="/openapi.json" if settings.docs else None,
    )
    if settings.docs:
        add_pages(app, settings)
    add_problem_handlers(app)
    app.include_router(router_of(backend))
    if settings.cors_origins:
        _allow(app, settings.cors_origins)
    return app


def _allow(app: FastAPI, origins: tuple[str, ...]) -> None:
    from fastapi.middleware.cors import CORSMiddleware

    app.add_middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=METHODS,
        allow_headers=ALLOWED_HEADERS,
        expose_headers=EXPOSED_HEADERS,
    )


class _Application(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, generated on the first call."""
        if self.openapi_schema is None:
            self.openapi_schema = tidied(super().openapi())
        return self.openapi_schema


def _lifespan(backend: Backend) -> Any:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            options = engine_options(backend.settings)
            database = AsyncDatabase.open(database_url(backend.settings, stack), **options)
            backend.connect(await stack.enter_async_context(database), own=True)
            yield

    return lifespan
