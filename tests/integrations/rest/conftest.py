"""The contract's tests run against every framework that serves it, over real HTTP on loopback.

A framework is a function `(settings, database_url, embedder) -> context of a base URL` in `SERVERS`.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest

from rowspace.integrations.rest.settings import ServerSettings
from rowspace.testing import HashingEmbedder

DIMENSION = 64


@contextmanager
def serve_fastapi(settings: ServerSettings, embedder: Any = None) -> Iterator[str]:
    import uvicorn

    from rowspace.integrations.fastapi import create_app

    config = uvicorn.Config(create_app(settings, embedder=embedder), log_config=None, ws="none")
    server = uvicorn.Server(config)
    # With the protocol, by which asyncio knows connections that must not wait before they send.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def serve_flask(settings: ServerSettings, embedder: Any = None) -> Iterator[str]:
    from werkzeug.serving import make_server

    from rowspace.integrations.flask import create_app

    app = create_app(settings, embedder=embedder)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    # Their end is waited for: a connection that a request still has cannot be closed.
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        app.extensions["rowspace"].close()


SERVERS = {"fastapi": serve_fastapi, "flask": serve_flask}


@pytest.fixture(scope="session", params=SERVERS)
def framework(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def rest_url(new_shared_database: Callable[..., str]) -> str:
    """The URL of the database that all servers share; a test has collections of its own."""
    return new_shared_database()


@pytest.fixture(scope="session")
def embedder() -> HashingEmbedder:
    return HashingEmbedder(DIMENSION)


@pytest.fixture(scope="session")
def start(framework: str, rest_url: str, embedder: HashingEmbedder) -> Iterator[Callable[..., httpx.Client]]:
    """A function that starts a server with some settings and returns a client of it."""
    with ExitStack() as stack:

        def started(**settings: Any) -> httpx.Client:
            options = {"database_url": rest_url, "embedder": "none", "pool_size": 2, **settings}
            used = None if options.pop("without_embedder", False) else embedder
            base = stack.enter_context(SERVERS[framework](ServerSettings(**options), embedder=used))
            return stack.enter_context(httpx.Client(base_url=base, timeout=20, trust_env=False))

        yield started


@pytest.fixture(scope="session")
def client(start: Callable[..., httpx.Client]) -> httpx.Client:
    """A client of a server with the default limits, small ones where a test would have to send much."""
    return start(max_body=200_000, max_upload=2_000_000, max_line=100_000, max_k=100, max_documents=500, max_queries=20)


@pytest.fixture
def name() -> str:
    """A name that no other test has."""
    return f"c_{uuid4().hex[:12]}"


@pytest.fixture
def collection(client: httpx.Client, name: str) -> str:
    """A collection of three documents with texts, of 64 dimensions."""
    assert client.post("/api/collections", json={"name": name}).status_code == 201
    documents = [
        {"id": "a", "content": "a vector index is fast", "metadata": {"year": 2020, "kind": "note"}},
        {"id": "b/c", "content": "a keyword index finds words", "metadata": {"year": 2021, "kind": "note"}},
        {"id": "d", "content": "bread is baked in an oven", "metadata": {"year": 2022, "kind": "recipe"}},
    ]
    answer = client.post(f"/api/collections/{name}/documents", json={"documents": documents})
    assert answer.json()["inserted"] == 3
    return name


@pytest.fixture
def problem_of() -> Callable[..., dict[str, Any]]:
    """A function that checks that an answer is a problem of a status, and returns it."""

    def check(answer: httpx.Response, status: int) -> dict[str, Any]:
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["status"] == status
        assert problem["request_id"] == answer.headers["X-Request-ID"]
        for word in ("Traceback", "SELECT", "sqlalchemy", "psycopg", "asyncpg"):
            assert word not in answer.text
        return problem

    return check
