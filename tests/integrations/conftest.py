"""Databases for the adapters, and a server on loopback that speaks the protocol of OpenAI as a test tells it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from rowspace import Database
from rowspace.testing import HashingEmbedder


@pytest.fixture(scope="module")
def database_url(new_module_database):
    """One database for the tests of a module, each of which rolls back what it did."""
    return new_module_database()


@pytest.fixture
def session(database_url):
    with Database.open(database_url) as database, database.session() as session:
        yield session


class OpenAIStub:
    """Answers requests with what `replies` holds, one after the other, the last one for ever; keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.replies: list[Any] = []
        self.release = threading.Event()
        #: The client has hung up in the middle of an answer.
        self.left = threading.Event()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                stub.requests.append((self.path, body))
                reply = stub.replies.pop(0) if len(stub.replies) > 1 else stub.replies[0]
                stub.send(self, body, reply)

            def log_message(self, *_arguments: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()

    def send(self, handler: BaseHTTPRequestHandler, body: dict[str, Any], reply: Any) -> None:
        if reply == "hang":
            # Until the client has given up and the test is over.
            self.release.wait(30)
            return
        if reply == "endless":
            self.send_until_nobody_reads(handler)
            return
        status, headers, content = self.response(body, reply)
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        if "content-length" not in headers:
            handler.send_header("content-length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def send_until_nobody_reads(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.end_headers()
        chunk = streamed("word ").split("\n\n")[1].encode() + b"\n\n"
        try:
            while not self.release.wait(0.01):
                handler.wfile.write(chunk)
        except ConnectionError:
            self.left.set()

    def response(self, body: dict[str, Any], reply: Any) -> tuple[int, dict[str, str], bytes]:
        kind = {"content-type": "application/json"}
        if isinstance(reply, tuple):
            status, headers, text = reply
            return status, {**kind, **headers}, text.encode()
        if reply == "embed":
            embedder = HashingEmbedder(128)
            data = [
                {"object": "embedding", "index": n, "embedding": embedder.embed_query(text)}
                for n, text in enumerate(body["input"])
            ]
            return 200, kind, json.dumps({"object": "list", "data": data, "model": "e", "usage": USAGE}).encode()
        if body.get("stream"):
            return 200, {"content-type": "text/event-stream"}, streamed(reply).encode()
        message = {"role": "assistant", "content": reply}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return 200, kind, json.dumps({**HEAD, "object": "chat.completion", "choices": [choice]}).encode()


USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
HEAD = {"id": "c1", "created": 1, "model": "stub-model", "usage": USAGE}


def streamed(text: str) -> str:
    parts = [text[at : at + 5] for at in range(0, len(text), 5)]
    deltas = [{"role": "assistant", "content": ""}, *({"content": part} for part in parts), {}]
    chunks = [
        {
            "id": "c1",
            "created": 1,
            "model": "stub-model",
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}],
        }
        for delta in deltas
    ]
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"


@pytest.fixture
def stub() -> Iterator[OpenAIStub]:
    stub = OpenAIStub()
    yield stub
    stub.close()
