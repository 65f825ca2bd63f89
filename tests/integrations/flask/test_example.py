from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from rowspace.testing import HashingEmbedder

EXAMPLE = Path(__file__).resolve().parents[3] / "examples/flask/app.py"


@pytest.fixture
def example(new_database, monkeypatch):
    spec = importlib.util.spec_from_file_location("example_flask", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.rowspace, "_embedder", HashingEmbedder(64))
    app = module.create_app({"ROWSPACE_DATABASE_URL": new_database()})
    module.fill(app)
    yield app
    app.extensions["rowspace"].close()


def test_the_page_searches_and_takes_recipes(example):
    client = example.test_client()
    assert "<h1>5 recipes</h1>" in client.get("/").text
    assert client.get("/?q=batter").text.index("<strong>pancakes") < client.get("/?q=batter").text.index("</ol>")
    form = {"name": "toast", "text": "Roast <slices> of bread.", "minutes": "5"}
    assert client.post("/", data=form).status_code == 302
    page = client.get("/?q=toast slices").text
    assert "<h1>6 recipes</h1>" in page
    assert "Roast &lt;slices&gt; of bread. (5 minutes)" in page


def test_what_is_refused_is_not_added(example):
    client = example.test_client()
    refused = client.post("/", data={"name": "nul", "text": "a\0b"})
    assert (refused.status_code, refused.content_type) == (422, "application/problem+json")
    assert "<h1>5 recipes</h1>" in client.get("/").text


def test_the_contract_is_there_too(example):
    found = example.test_client().post("/api/search", json={"collection": "recipes", "text": "leeks", "k": 1})
    assert found.json["hits"][0]["id"] == "soup"


def test_one_command():
    with tempfile.TemporaryDirectory(prefix="rs", ignore_cleanup_errors=True) as directory:
        environment = {**os.environ, "ROWSPACE_DATABASE_URL": "", "TMPDIR": directory}
        command = [sys.executable, EXAMPLE, "--port", "0"]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            try:
                line = next(line for line in process.stderr if "Running on" in line)
                address = line.partition("http://")[2].split()[0]
                assert address.startswith("127.0.0.1:")
                query = urllib.parse.quote("米饭")
                with urllib.request.urlopen(f"http://{address}/?q={query}", timeout=30) as answer:
                    assert "<strong>粥</strong>" in answer.read().decode()
            finally:
                process.send_signal(signal.SIGTERM)
                process.stderr.read()
        assert process.returncode == 0
        assert not list(Path(directory).glob("rs*"))
