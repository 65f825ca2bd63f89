"""An application that includes Rowspace's router: python examples/fastapi/app.py [--port 8000]."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from rowspace import AsyncDatabase, AsyncDocumentService, Document
from rowspace.embedded import EmbeddedServer
from rowspace.integrations.fastapi import add_problem_handlers, make_router, session_of
from rowspace.integrations.local import LocalEmbedder
from rowspace.migrations import upgrade

PLANETS = {
    "mercury": ("Mercury is the smallest planet and the nearest to the Sun.", 4_879),
    "venus": ("Venus is the hottest planet, under clouds of sulphuric acid.", 12_104),
    "earth": ("Earth is the only planet that is known to have life.", 12_756),
    "mars": ("Mars is red, because its dust is rich in iron oxide.", 6_792),
    "jupiter": ("Jupiter is the largest planet; its Great Red Spot is a storm.", 142_984),
    "saturn": ("Saturn has rings of ice and rock.", 120_536),
}


def create_app(database: AsyncDatabase, embedder: Any) -> FastAPI:
    """Return the application, which loads its documents at startup."""
    documents = AsyncDocumentService(database, embedder)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with database.engine.begin() as connection:
            await connection.run_sync(upgrade)
        await documents.create_collection("planets", exist_ok=True)
        rows = [{"id": id_, "content": text, "metadata": {"km": km}} for id_, (text, km) in PLANETS.items()]
        await documents.add("planets", rows)
        yield

    app = FastAPI(title="Planets", lifespan=lifespan)
    add_problem_handlers(app)
    app.include_router(make_router(database, embedder))
    one_session = session_of(database)

    @app.get("/")
    async def home() -> dict[str, str]:
        return {"search": "POST /api/search", "chat": "POST /api/chat", "description": "/docs"}

    @app.get("/largest")
    async def largest(session: AsyncSession = one_session) -> str:
        """Query the same tables with SQLAlchemy, in a session of the request."""
        size = Document.meta["km"].as_integer()
        return (await session.scalars(select(Document.id).order_by(size.desc()).limit(1))).one()

    return app


def main() -> None:
    """Serve on an embedded server, in a directory that is deleted afterwards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    port = parser.parse_args().port
    # After shutdown, uvicorn raises the signal again. Raise an exception, so that the embedded server stops too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="rs", ignore_cleanup_errors=True) as directory:
        server = EmbeddedServer(Path(directory) / "pg", keep=False)
        try:
            uvicorn.run(create_app(AsyncDatabase.open(server.url), LocalEmbedder()), port=port)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
