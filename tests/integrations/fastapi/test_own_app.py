"""What is FastAPI's own: the router in somebody's application, and sessions."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import httpx
import pytest
from fastapi import Body, Cookie, FastAPI, HTTPException
from fastapi.testclient import TestClient
from sqlalchemy import NullPool, event, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from rowspace import AsyncDatabase, Database
from rowspace.errors import CollectionNotFound, ConfigurationError
from rowspace.integrations.fastapi import add_problem_handlers, create_app, make_router, session_of
from rowspace.integrations.flask import create_app as flask_app
from rowspace.integrations.rag.models import AnswerEvent
from rowspace.integrations.rest.settings import ServerSettings
from rowspace.testing import HashingEmbedder


@pytest.fixture(scope="session")
def url(new_shared_database):
    return new_shared_database()


@pytest.fixture
async def database(url):
    async with AsyncDatabase.open(url, poolclass=NullPool) as opened:
        yield opened


def client_of(app):
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def test_the_router_lives_beside_other_endpoints(database):
    app = FastAPI()
    app.include_router(make_router(database, HashingEmbedder(8), probes=False), prefix="/vectors")

    @app.get("/own")
    async def own():
        raise CollectionNotFound

    add_problem_handlers(app)
    async with client_of(app) as client:
        assert (await client.get("/vectors/api/collections")).status_code == 200
        missing = await client.get("/vectors/api/collections/nope")
        assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
        assert (await client.get("/own")).json()["status"] == 404
        made = await client.post("/vectors/api/collections", json={"name": "in_own_app"})
        assert made.headers["location"] == "/vectors/api/collections/in_own_app"
        assert (await client.get("/vectors/healthz")).status_code == 404


async def test_searches_of_a_database_of_the_callers_are_in_sessions_whose_hooks_name_a_tenant(database):
    app = FastAPI()
    app.include_router(make_router(database))
    documents = {"documents": [{"id": "a", "content": "a text", "embedding": [1, 0]}]}
    begun = []
    async with client_of(app) as client:
        await client.post("/api/collections", json={"name": "of_tenants", "dimension": 2})
        await client.post("/api/collections/of_tenants/documents", json=documents)
        event.listen(Session, "after_begin", hook := lambda *arguments: begun.append(arguments))
        try:
            found = await client.post("/api/search", json={"collection": "of_tenants", "vector": [1, 0], "k": 1})
        finally:
            event.remove(Session, "after_begin", hook)
    assert [hit["id"] for hit in found.json()["hits"]] == ["a"]
    assert len(begun) == 1


async def test_plain_searches_of_a_database_of_the_servers_own_begin_no_session(url):
    app = create_app(ServerSettings(database_url=url, embedder="none"))
    documents = [{"id": str(x), "content": f"point {x}", "embedding": [1, x]} for x in range(20)]
    plain = {"collection": "plain", "vector": [1, 7], "k": 2}
    begun = []
    async with app.router.lifespan_context(app), client_of(app) as client:
        await client.post("/api/collections", json={"name": "plain", "dimension": 2})
        await client.post("/api/collections/plain/documents", json={"documents": documents})
        event.listen(Session, "after_begin", hook := lambda *arguments: begun.append(arguments))
        try:
            answers = [await client.post("/api/search", json=plain) for _ in range(3)]
            assert not begun
            # What comes back short is searched again in full, in a session.
            await client.post("/api/search", json=plain | {"k": 30})
        finally:
            event.remove(Session, "after_begin", hook)
    assert [[hit["id"] for hit in answer.json()["hits"]] for answer in answers] == [["7", "8"]] * 3
    assert len(begun) == 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (HTTPException(404), {"status": 404, "title": "Not Found", "detail": "Not Found"}),
        (HTTPException(499, "gone"), {"status": 499, "title": "Status 499", "detail": "gone"}),
        (HTTPException(400, {"code": 1, "status": 2}), {"status": 400, "detail": "Bad Request", "code": 1}),
        (HTTPException(400, ["a"]), {"status": 400, "detail": '["a"]'}),
        (HTTPException(304), None),
    ],
    ids=str,
)
async def test_http_errors_of_other_endpoints(error, expected):
    app = FastAPI()
    add_problem_handlers(app)

    @app.get("/")
    async def fail():
        error.headers = {"Retry-After": "7"}
        raise error

    async with client_of(app) as client:
        answer = await client.get("/")
    assert (answer.status_code, answer.headers["Retry-After"]) == (error.status_code, "7")
    if expected is None:
        assert answer.content == b""
    else:
        assert answer.json().items() >= expected.items()


async def test_the_methods_of_an_endpoint_that_is_not_described():
    app = FastAPI()
    add_problem_handlers(app)
    app.add_api_route("/hidden", lambda: "", methods=["GET"], include_in_schema=False)
    async with client_of(app) as client:
        answer = await client.post("/hidden")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")


@pytest.mark.parametrize(
    ("request_", "fault"),
    [
        ({"content": b'{"a": nope}', "headers": {"content-type": "application/json"}}, {"pointer": ""}),
        ({"json": {}, "headers": {"cookie": "n=x"}}, {"parameter": "n"}),
    ],
    ids=["no JSON", "cookie"],
)
async def test_where_the_faults_of_other_endpoints_lie(request_, fault):
    app = FastAPI()
    add_problem_handlers(app)

    @app.post("/")
    async def take(body: Annotated[dict, Body()], n: Annotated[int, Cookie()] = 1):
        return body, n

    async with client_of(app) as client:
        (found,) = (await client.post("/", **request_)).json()["errors"]
    del found["detail"]
    assert found == fault


async def test_a_session_is_committed_once_or_rolled_back(database):
    app, one = FastAPI(), session_of(database)
    async with database.begin() as session:
        await session.execute(text("CREATE TABLE IF NOT EXISTS notes (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
        await session.execute(text("TRUNCATE notes"))

    @app.post("/{number}")
    async def add(number: int, session: AsyncSession = one, again: AsyncSession = one, *, fail: bool = False) -> bool:
        await session.execute(text("INSERT INTO notes VALUES (:number)"), {"number": number})
        if fail:
            raise HTTPException(499, "no status of HTTP's")
        return session is again

    async with client_of(app) as client:
        assert (await client.post("/1")).json() is True
        assert (await client.post("/2?fail=true")).status_code == 499
        # The constraint is checked by the commit, which comes before the answer.
        assert (await client.post("/1")).status_code == 500
    async with database.begin() as session:
        assert (await session.scalars(text("SELECT id FROM notes"))).all() == [1]


def test_an_embedder_that_there_is_not():
    with pytest.raises(ConfigurationError, match="nowhere:at_all"):
        create_app(ServerSettings(embedder="nowhere:at_all"))


async def test_a_stream_that_pauses_for_too_long_is_given_up(database):
    """A connection to the database waits for it."""
    app = FastAPI()
    app.include_router(make_router(database, HashingEmbedder(8), settings=ServerSettings(upload_idle=0.05)))

    async def lines():
        yield b'{"content": "a"}\n'
        await asyncio.Event().wait()

    async with client_of(app) as client:
        await client.post("/api/collections", json={"name": "paused"})
        path, headers = "/api/collections/paused", {"content-type": "application/x-ndjson"}
        given_up = await client.post(f"{path}/documents", content=lines(), headers=headers)
        assert (given_up.status_code, given_up.headers["connection"]) == (408, "close")
        assert "0.05 seconds" in given_up.json()["detail"]
        assert (await client.post(f"{path}/count", json={})).json() == {"count": 0}


class Endless:
    """An answer service whose model never answers."""

    def __init__(self):
        self.ended = False

    async def aanswer(self, _question):
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True

    async def astream(self, question):
        yield await self.aanswer(question)


@pytest.mark.parametrize("stream", [False, True])
async def test_who_leaves_before_the_answer_ends_the_question(database, stream):
    app, answers = FastAPI(), Endless()
    app.include_router(make_router(database, HashingEmbedder(8), answers=answers))
    body = json.dumps({"collection": "a", "question": "b", "stream": stream}).encode()
    received = iter([{"type": "http.request", "body": body}, {"type": "http.disconnect"}])

    async def receive():
        return next(received)

    async def send(_message):
        """Nobody is there."""

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/api/chat", "query_string": b"", "headers": headers}
    async with asyncio.timeout(10):
        await app(scope, receive, send)
    assert answers.ended


class Talkative:
    """An answer service whose model has no end of words."""

    def __init__(self):
        self.ended = False

    async def astream(self, _question):
        try:
            while True:
                yield AnswerEvent(type="token", token="word")
        finally:
            self.ended = True


@pytest.mark.parametrize("begun", [0, 3])
async def test_who_leaves_without_reading_on_ends_the_answer(database, begun):
    """Sending waits for the client then, and the server's cancellation does not reach the answer by itself."""
    app, answers, sent, full = FastAPI(), Talkative(), [], asyncio.Event()
    app.include_router(make_router(database, HashingEmbedder(8), answers=answers))
    body = json.dumps({"collection": "a", "question": "b", "stream": True}).encode()
    received = iter([{"type": "http.request", "body": body}])

    async def receive():
        if message := next(received, None):
            return message
        await full.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)
        if len(sent) > begun:
            full.set()
            await asyncio.Event().wait()

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/api/chat", "query_string": b"", "headers": headers}
    async with asyncio.timeout(10):
        await app(scope, receive, send)
    assert (answers.ended, len(sent)) == (True, begun + 1)


@pytest.mark.parametrize("framework", [create_app, flask_app], ids=["fastapi", "flask"])
def test_a_model_that_there_is_not_is_an_error_when_the_application_is_made(framework):
    with pytest.raises(ConfigurationError, match="knows no model 'nobody:nothing'"):
        framework(ServerSettings(embedder="none", chat_model="nobody:nothing"))


def test_an_application_may_be_started_again(url):
    app = create_app(ServerSettings(database_url=url), embedder=HashingEmbedder(8))
    for _ in range(2):
        with TestClient(app) as client:
            client.post("/api/collections", json={"name": "again"})
            assert client.post("/api/chat", json={"collection": "again", "question": "a"}).status_code == 200


async def test_an_application_that_was_not_started_says_so(url):
    async with client_of(create_app(ServerSettings(database_url=url, embedder="none"))) as client:
        for path in ("/readyz", "/api/collections"):
            problem = (await client.get(path)).json()
            assert problem["status"] == 503
            assert "Run its lifespan" in problem["detail"]


async def test_an_application_with_a_database_of_ones_own_may_be_mounted(database):
    """Nobody runs the lifespan of what is mounted."""
    app = FastAPI()
    app.mount("/vectors", create_app(ServerSettings(embedder="none"), database=database))
    async with client_of(app) as client:
        assert (await client.get("/vectors/api/collections")).status_code == 200
        assert (await client.get("/vectors/readyz")).status_code == 200
        # Not /vectors, of which a proxy may have taken off more.
        assert (await client.get("/vectors/openapi.json")).json()["servers"] == [{"url": "."}]


@pytest.mark.parametrize(
    "serve", [make_router, session_of, lambda database: create_app(ServerSettings(embedder="none"), database=database)]
)
def test_what_is_no_async_database_is_refused_before_a_request(url, serve):
    for given in (url, Database.open(url)):
        with pytest.raises(ConfigurationError, match=rf"from AsyncDatabase.open.*, got {type(given).__name__}"):
            serve(given)
