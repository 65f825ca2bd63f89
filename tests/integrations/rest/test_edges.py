from __future__ import annotations

import gzip
import hashlib
import json
import socket
from concurrent.futures import ThreadPoolExecutor, as_completed

import pytest
from sqlalchemy import create_engine, make_url, text

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not JSON"),
        (b'{"name": NaN}', "not JSON"),
        (b'{"name": "\\ud800"}', "not JSON"),
        (b'{"name": "\xff"}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"name": "x", "dimension": ' + b"9" * 5_000 + b"}", "not JSON"),
    ],
)
def test_what_is_no_json(client, problem_of, body, said):
    assert said in problem_of(client.post("/api/collections", content=body, headers=JSON), 400)["detail"]


@pytest.mark.parametrize("path", ["/api/collections", "/api/collections/{name}/documents", "/api/search"])
@pytest.mark.parametrize("headers", [JSON, {}])
def test_no_body(client, collection, problem_of, path, headers):
    problem = problem_of(client.post(path.format(name=collection), headers=headers), 422)
    assert problem["errors"][0]["pointer"] == ""


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_media_type_which_a_page_could_send_unasked(client, name, problem_of, kind):
    body = json.dumps({"name": name, "dimension": 2}).encode()
    problem_of(client.post("/api/collections", content=body, headers={"content-type": kind}), 415)


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
def test_a_compressed_body(client, collection, problem_of, kind):
    headers = {"content-type": kind, "content-encoding": "gzip"}
    body = gzip.compress(b'{"content": "a"}')
    answer = client.post(f"/api/collections/{collection}/documents", content=body, headers=headers)
    assert "'gzip'" in problem_of(answer, 415)["detail"]


def test_a_body_beyond_the_limit_announced_or_not(client, problem_of):
    def chunks():
        for _ in range(300):
            yield b" " * 1_000

    problem_of(client.post("/api/collections", content=b" " * 200_001, headers=JSON), 413)
    assert "200,000" in problem_of(client.post("/api/collections", content=chunks(), headers=JSON), 413)["detail"]


def test_a_stream_beyond_the_limit(client, collection, problem_of):
    def lines():
        for number in range(2_100):
            yield b'{"content": "' + str(number).encode() * 100 + b" " * 700 + b'"}\n'

    headers = {"content-type": "application/x-ndjson"}
    path = f"/api/collections/{collection}"
    problem_of(client.post(f"{path}/documents", content=lines(), headers=headers), 413)
    assert client.post(f"{path}/count", json={}).json() == {"count": 3}


@pytest.mark.parametrize(("given", "kept"), [("abc-1", True), ("a b", False), ("x" * 129, False), ("<b>", False)])
def test_request_ids(client, given, kept):
    answered = client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert (answered == given) is kept
    assert answered


def test_unknown_paths_and_methods(client, problem_of):
    problem_of(client.get("/nope"), 404)
    refused = client.put("/api/collections")
    problem_of(refused, 405)
    # Flask adds what it answers by itself.
    assert {*refused.headers["allow"].split(", ")} - {"OPTIONS"} == {"GET", "HEAD", "POST"}


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/api/collections", "/docs", "/openapi.json"])
def test_head_is_get_without_its_body(client, path):
    """What watches a server from outside often asks so."""
    asked, read = client.head(path), client.get(path)
    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["content-type"] == read.headers["content-type"]


def test_head_of_what_is_not_there(client, collection):
    assert client.head(f"/api/collections/{collection}/documents/a").status_code == 200
    assert client.head(f"/api/collections/{collection}/documents/nope").status_code == 404


def test_a_slash_too_many_is_another_path(client, problem_of):
    """A redirect would name the host that a proxy calls, and would not be followed with the key."""
    problem_of(client.get("/api/collections/"), 404)


def test_no_page_of_another_origin_may_call(client, start):
    origin = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in client.options("/api/search", headers=origin).headers
    allowed = start(cors_origins=["https://example.org"]).options("/api/search", headers=origin)
    assert allowed.headers["access-control-allow-origin"] == "https://example.org"


def test_probes_and_metrics(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}
    client.get("/api/collections/nope")
    metrics = client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert 'route="/api/collections/{name}",status="404"' in metrics.text
    assert "nope" not in metrics.text


def key(value, **rights):
    return {"sha256": hashlib.sha256(value.encode()).hexdigest(), **rights}


def test_keys_and_their_rights(start, collection, name, problem_of):
    name = f"{name}_other"
    keys = [
        key("reader", collections=[collection]),
        key("writer", collections=[collection, name], write=True),
        key("admin", write=True),
    ]
    guarded = start(api_keys=keys)

    def call(method, path, bearer, **body):
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        return guarded.request(method, path, headers=headers, json=body or None)

    assert problem_of(call("GET", "/api/collections", None), 401)["title"] == "Unauthorized"
    assert call("GET", "/api/collections", "wrong").headers["www-authenticate"].startswith("Bearer")
    assert guarded.get("/healthz").status_code == 200
    listed = call("GET", "/api/collections", "reader").json()["collections"]
    assert [one["name"] for one in listed] == [collection]
    query = {"text": "bread", "collection": collection}
    assert call("POST", "/api/search", "reader", **query).status_code == 200
    problem_of(call("POST", "/api/search", "reader", **query | {"collection": name}), 403)
    problem_of(call("POST", "/api/chat", "reader", question="bread?", collection=name), 403)
    problem_of(call("DELETE", f"/api/collections/{collection}", "reader"), 403)
    problem_of(call("POST", f"/api/collections/{collection}/delete", "reader", ids=["a"]), 403)
    problem_of(call("POST", f"/api/collections/{collection}/documents", "reader", documents=[{"content": "x"}]), 403)
    problem_of(call("POST", "/api/collections", "reader", name=name, dimension=2), 403)
    assert call("POST", "/api/collections", "writer", name=name, dimension=2).status_code == 201
    problem_of(call("POST", "/api/collections", "writer", name=f"{name}x", dimension=2), 403)
    assert call("DELETE", f"/api/collections/{name}", "admin").status_code == 204


def test_a_key_is_asked_for_before_the_body_is_read(start, problem_of):
    guarded = start(api_keys=[key("secret")])
    problem_of(guarded.post("/api/collections", content=b"{" * 1_000, headers=JSON), 401)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/collections/{}", None),
        ("/api/search", {"text": "bread", "collection": "{}"}),
        ("/api/chat", {"question": "bread?", "collection": "{}"}),
        ("/api/chat", {"question": "bread?", "collection": "{}", "stream": True}),
        ("/api/collections/{}/documents", {"documents": [{"content": "a"}]}),
    ],
    ids=["get", "search", "chat", "events", "documents"],
)
def test_a_pool_that_is_exhausted(start, rest_url, collection, problem_of, path, body):
    busy = start(pool_size=1, pool_timeout=0.2)
    path = path.format(collection)
    sent = body and {key: collection if value == "{}" else value for key, value in body.items()}

    def call():
        return busy.get(path) if sent is None else busy.post(path, json=sent)

    engine = create_engine(rest_url)
    with engine.connect() as connection, ThreadPoolExecutor(3) as pool:
        connection.execute(text("LOCK TABLE collections IN ACCESS EXCLUSIVE MODE"))
        # One of them has the connection and waits for the lock; the first to be answered is one that has none.
        waiting = [pool.submit(call) for _ in range(3)]
        refused = next(as_completed(waiting)).result()
        connection.rollback()
        assert 200 in {answer.result().status_code for answer in waiting}
    engine.dispose()
    problem_of(refused, 429)
    assert refused.headers["retry-after"] == "1"


def test_a_database_that_is_away(start, problem_of):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"postgresql://someone:secret@127.0.0.1:{unused.getsockname()[1]}/app"
        away = start(database_url=url)
        for answer in (away.get("/api/collections"), away.get("/readyz")):
            assert "cannot be reached" in problem_of(answer, 503)["detail"]
            assert answer.headers["retry-after"] == "5"
            assert not {"secret", "someone", "127.0.0.1"} & {*answer.text.replace('"', " ").split()}
        assert away.get("/healthz").status_code == 200


def test_a_database_without_the_migrations(start, new_database, problem_of):
    url = make_url(new_database())
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE rowspace_alembic_version SET version_num = 'older'"))
    engine.dispose()
    problem = problem_of(start(database_url=url.render_as_string(hide_password=False)).get("/readyz"), 503)
    assert "db upgrade" in problem["checks"]["migrations"]
    assert problem["checks"]["database"] is None


def test_a_text_without_an_embedder(start, client, collection, problem_of):
    bare = start(without_embedder=True)
    problem = problem_of(bare.post("/api/search", json={"collection": collection, "text": "bread"}), 409)
    assert "embedder" in problem["detail"]
