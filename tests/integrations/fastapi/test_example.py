from __future__ import annotations

import importlib.util
from pathlib import Path

import httpx
from sqlalchemy import NullPool

from rowspace import AsyncDatabase
from rowspace.testing import HashingEmbedder

EXAMPLE = Path(__file__).resolve().parents[3] / "examples/fastapi/app.py"


async def test_the_example_searches_answers_and_uses_a_session(new_database):
    spec = importlib.util.spec_from_file_location("example_fastapi", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    async with AsyncDatabase.open(new_database(), poolclass=NullPool) as database:
        app = module.create_app(database, HashingEmbedder(64))
        async with app.router.lifespan_context(app):
            client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://example")
            assert (await client.get("/largest")).json() == "jupiter"
            found = await client.post("/api/search", json={"collection": "planets", "text": "red dust", "k": 1})
            assert found.json()["hits"][0]["id"] == "mars"
            asked = await client.post(
                "/api/chat", json={"collection": "planets", "question": "Which has rings of ice?"}
            )
            assert "rings" in asked.json()["text"]
            await client.aclose()
