from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
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


def test_one_command():
    with tempfile.TemporaryDirectory(prefix="rs", ignore_cleanup_errors=True) as directory:
        environment = {**os.environ, "ROWSPACE_DATABASE_URL": "", "TMPDIR": directory}
        command = [sys.executable, EXAMPLE, "--port", "0"]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            try:
                line = next(line for line in process.stderr if "running on" in line)
                address = line.partition("http://")[2].split()[0]
                with urllib.request.urlopen(f"http://{address}/openapi.json", timeout=30) as answer:
                    assert answer.status == 200
            finally:
                process.send_signal(signal.SIGTERM)
                process.stderr.read()
        assert process.returncode == 0
        assert not list(Path(directory).glob("rs*"))
