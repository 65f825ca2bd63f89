"""The documentation pages."""

from __future__ import annotations

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse, HTMLResponse

from rowspace.integrations.fastapi.routes import readable
from rowspace.integrations.rest.pages import PREFIX, Assets, redoc_page, swagger_page
from rowspace.integrations.rest.settings import ServerSettings

__all__ = ["add_pages"]


def add_pages(app: FastAPI, settings: ServerSettings) -> None:
    """Add `/docs` and `/redoc`, and their assets if they are in a directory.

    Raises:
        ConfigurationError: an asset is missing.
    """
    assets = Assets(settings.docs_assets)

    @readable(app, "/docs", include_in_schema=False)
    async def swagger() -> HTMLResponse:
        return HTMLResponse(swagger_page(assets))

    @readable(app, "/redoc", include_in_schema=False)
    async def redoc() -> HTMLResponse:
        return HTMLResponse(redoc_page(assets))

    @readable(app, f"/{PREFIX}/{{name}}", include_in_schema=False)
    async def asset(name: str) -> FileResponse:
        path = assets.path(name)
        if path is None:
            raise HTTPException(404)
        return FileResponse(path)
