"""An application to run as it is: `uvicorn --factory rowspace.integrations.fastapi:create_app`, or `rowspace serve`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI

from rowspace.embedded import EmbeddedServer
from rowspace.engine import AsyncDatabase, resolve_url
from rowspace.errors import ConfigurationError
from rowspace.integrations.fastapi.backend import Backend
from rowspace.integrations.fastapi.problems import add_problem_handlers
from rowspace.integrations.fastapi.router import router_of
from rowspace.integrations.rest.settings import ServerSettings
from rowspace.services import Embedder

__all__ = ["create_app"]


def create_app(
    settings: ServerSettings | None = None,
    *,
    database: AsyncDatabase | None = None,
    embedder: Embedder | None = None,
    answers: Any = None,
) -> FastAPI:
    """Return an application that serves the REST contract.

    Args:
        settings: by default from the variables `ROWSPACE_*`.
        database: by default that of the settings, opened when the application starts and closed when it stops.
        embedder: by default that of the settings.
        answers: an `AnswerService` for `/api/chat`; by default one on the same database.

    Raises:
        ConfigurationError, MissingExtra: there is no such embedder; it is not installed.
    """
    settings = settings or ServerSettings()
    backend = Backend(settings, embedder if embedder is not None else _embedder_of(settings.embedder), answers=answers)
    described: dict[str, Any] = {} if settings.docs else {"docs_url": None, "redoc_url": None, "openapi_url": None}
    app = FastAPI(
        title="Rowspace",
        summary="Documents and vectors in PostgreSQL + pgvector.",
        version=_version(),
        lifespan=_lifespan(backend, database),
        **described,
    )
    add_problem_handlers(app)
    app.include_router(router_of(backend))
    if settings.cors_origins:
        from fastapi.middleware.cors import CORSMiddleware

        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Location", "Retry-After"],
        )
    return app


def _lifespan(backend: Backend, database: AsyncDatabase | None) -> Any:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if database is not None:
                backend.connect(database)
            else:
                backend.connect(await _opened(backend.settings, stack), own=True)
            yield

    return lifespan


async def _opened(settings: ServerSettings, stack: AsyncExitStack) -> AsyncDatabase:
    url = None if settings.database_url is None else resolve_url(settings.database_url.get_secret_value())
    if url is None and settings.data_dir is not None:
        server = EmbeddedServer(settings.data_dir)
        stack.callback(server.stop)
        url = server.url
    database = AsyncDatabase.open(
        url,
        schema=settings.database_schema,
        pool_size=settings.pool_size,
        max_overflow=settings.pool_overflow,
        pool_timeout=settings.pool_timeout,
        # The connection that was used last: its server process has the caches warm, and the others may stay idle.
        pool_use_lifo=True,
    )
    return await stack.enter_async_context(database)


def _embedder_of(name: str) -> Embedder | None:
    if name == "none":
        return None
    if name == "local":
        from rowspace.integrations.local import LocalEmbedder

        return LocalEmbedder()
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        message = f"The embedder is `local`, `none` or `package.module:name`, got {name!r}: {error}."
        raise ConfigurationError(message) from error
    made: Embedder = found if hasattr(found, "embed_query") and not isinstance(found, type) else found()
    return made


def _version() -> str:
    try:
        return version("rowspace")
    except PackageNotFoundError:
        return "0"
