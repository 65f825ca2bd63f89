from __future__ import annotations

import json
import socket
import threading

import pytest

NDJSON = {"content-type": "application/x-ndjson"}


def test_documents_are_added_then_unchanged_then_updated(client, name):
    client.post("/api/collections", json={"name": name})
    path = f"/api/collections/{name}/documents"
    one = {"id": "a", "content": "first"}
    assert client.post(path, json={"documents": [one]}).json() == {
        "received": 1,
        "inserted": 1,
        "updated": 0,
        "unchanged": 0,
        "duplicates": 0,
    }
    assert client.post(path, json={"documents": [one]}).json()["unchanged"] == 1
    assert client.post(path, json={"documents": [one | {"content": "second"}]}).json()["updated"] == 1
    assert client.get(f"{path}/a").json() == {"id": "a", "content": "second", "metadata": {}}


def test_ndjson_is_streamed(client, name):
    client.post("/api/collections", json={"name": name, "dimension": 2})

    def lines():
        for number in range(1_000):
            line = json.dumps({"id": str(number), "content": f"text {number}", "embedding": [number, 1]})
            # Cut anywhere, with an empty line now and then.
            yield line[:7].encode()
            yield line[7:].encode() + (b"\n\r\n" if number % 3 else b"\n")
        yield b'{"id": "last", "content": "no line feed", "embedding": [0, 1]}'

    answer = client.post(f"/api/collections/{name}/documents", content=lines(), headers=NDJSON)
    assert answer.json()["inserted"] == 1_001
    assert client.post(f"/api/collections/{name}/count", json={}).json() == {"count": 1_001}


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        (b"{", 400, "Line 2 is not JSON"),
        (b'{"content": NaN}', 400, "Line 2 is not JSON"),
        (b'{"content": "\xff"}', 400, "Line 2 is not JSON"),
        (b'{"content": "\\ud800"}', 400, "Line 2 is not JSON"),
        (b'{"id": "b"}', 422, "Line 2, /content"),
        (b'["b"]', 422, "Line 2"),
        (b'{"content": "a", "embedding": [1, "2"]}', 422, "Line 2, /embedding/1"),
        (b'{"content": "a", "embedding": [1, 2, 3]}', 409, "2 dimensions"),
        (b'{"content": "' + b"x" * 100_001 + b'"}', 413, "Line 2 is longer"),
    ],
)
def test_a_line_at_fault_is_named_and_nothing_is_stored(client, name, problem_of, line, status, said):
    client.post("/api/collections", json={"name": name, "dimension": 2})
    body = b'{"content": "a", "embedding": [1, 2]}\n' + line + b"\n"
    problem = problem_of(client.post(f"/api/collections/{name}/documents", content=body, headers=NDJSON), status)
    assert said in problem["detail"]
    assert client.post(f"/api/collections/{name}/count", json={}).json() == {"count": 0}


def test_a_document_is_shown_by_any_id(client, collection, problem_of):
    path = f"/api/collections/{collection}/documents"
    assert client.get(f"{path}/b/c").json()["content"] == "a keyword index finds words"
    assert client.get(f"{path}/b%2Fc").json()["id"] == "b/c"
    assert "'nope'" in problem_of(client.get(f"{path}/nope"), 404)["detail"]
    problem_of(client.get("/api/collections/nope/documents/a"), 404)


def test_documents_are_counted_and_deleted_by_filter_and_by_id(client, collection):
    path = f"/api/collections/{collection}"
    notes = {"filter": {"kind": "note"}}
    assert client.post(f"{path}/count", json=notes).json() == {"count": 2}
    assert client.post(f"{path}/delete", json=notes).json() == {"deleted": 2}
    assert client.post(f"{path}/delete", json={"ids": ["d", "nope"]}).json() == {"deleted": 1}
    assert client.post(f"{path}/count", json={}).json() == {"count": 0}


@pytest.mark.parametrize("body", [{}, {"filter": {}}, {"ids": []}, {"ids": ["a"], "filter": {"kind": "note"}}])
def test_nothing_is_deleted_by_nothing_nor_by_both(client, collection, problem_of, body):
    problem_of(client.post(f"/api/collections/{collection}/delete", json=body), 422)
    assert client.post(f"/api/collections/{collection}/count", json={}).json() == {"count": 3}


def test_pages_hold_every_document_once(client, collection):
    seen, cursor = [], None
    while True:
        body = {"limit": 2, "order_by": "year", "descending": True, "cursor": cursor}
        page = client.post(f"/api/collections/{collection}/scroll", json=body).json()
        seen += [document["id"] for document in page["documents"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert seen == ["d", "b/c", "a"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"limit": 0}, "/limit"),
        ({"limit": 10**6}, "/limit"),
        ({"filter": {"year": {"$near": 1}}}, "/filter"),
        ({"order_by": "$x"}, "/order_by"),
    ],
)
def test_a_page_that_cannot_be(client, collection, problem_of, body, pointer):
    problem = problem_of(client.post(f"/api/collections/{collection}/scroll", json=body), 422)
    assert problem["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({"id": "a"}, "/documents/1/content"),
        ({"content": 1}, "/documents/1/content"),
        ({"content": "a\0b"}, "/documents/1/content"),
        ({"content": "a", "id": ""}, "/documents/1/id"),
        ({"content": "a", "metadata": {"b": ["\0"]}}, "/documents/1/metadata"),
        ({"content": "a", "embedding": []}, "/documents/1/embedding"),
        ({"content": "a", "embedding": [1e300] * 64}, "/documents/1/embedding/0"),
        ({"content": "a", "embedding": "1.0"}, "/documents/1/embedding"),
        ({"content": "a", "extra": 1}, "/documents/1/extra"),
    ],
)
def test_a_document_at_fault_has_its_place(client, collection, problem_of, document, pointer):
    body = {"documents": [{"id": "fine", "content": "fine"}, document]}
    problem = problem_of(client.post(f"/api/collections/{collection}/documents", json=body), 422)
    assert problem["errors"][0]["pointer"] == pointer
    problem_of(client.get(f"/api/collections/{collection}/documents/fine"), 404)


def test_an_embedding_that_does_not_fit_the_collection(client, collection, problem_of):
    body = {"documents": [{"content": "a", "embedding": [1.0] * 63}]}
    problem = problem_of(client.post(f"/api/collections/{collection}/documents", json=body), 409)
    assert problem["errors"][0]["pointer"] == "/documents/0/embedding"
    assert "64" in problem["detail"]


def test_a_cursor_that_leads_nowhere(client, collection, problem_of):
    problem = problem_of(client.post(f"/api/collections/{collection}/scroll", json={"cursor": "nonsense"}), 404)
    assert problem["errors"][0]["pointer"] == "/cursor"


def test_too_many_documents_at_once(client, collection, problem_of):
    body = {"documents": [{"content": "x"}] * 501}
    problem = problem_of(client.post(f"/api/collections/{collection}/documents", json=body), 422)
    assert problem["errors"][0]["pointer"] == "/documents"


def test_no_body_and_no_collection(client, collection, problem_of):
    problem_of(client.post(f"/api/collections/{collection}/documents"), 422)
    problem_of(client.post("/api/collections/nope/documents", json={"documents": []}), 404)
    problem_of(client.post("/api/collections/nope/documents", content=b"", headers=NDJSON), 404)


@pytest.mark.parametrize(
    ("second", "status", "fault"),
    [
        ('{"content": "b", "embedding": [1]}', 409, {"line": 3, "pointer": "/embedding"}),
        ('{"content": 5}', 422, {"line": 3, "pointer": "/content"}),
        ('{"content": "b"', 400, {"line": 3}),
    ],
)
def test_a_line_at_fault_is_counted_from_1_with_the_empty_ones(client, collection, problem_of, second, status, fault):
    path = f"/api/collections/{collection}"
    body = f'{{"id": "first", "content": "a"}}\n\n{second}\n{{"content": "c"}}\n'.encode()
    problem = problem_of(client.post(f"{path}/documents", content=body, headers=NDJSON), status)
    assert problem["detail"].startswith("Line 3")
    (found,) = problem["errors"]
    assert {key: value for key, value in found.items() if key != "detail"} == fault
    assert client.post(f"{path}/count", json={}).json() == {"count": 3}


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/json"])
def test_who_hangs_up_in_the_middle_is_no_failure_of_the_server(start, collection, caplog, kind):
    """Nothing is stored, and nothing is logged but for a request that was bad."""
    server = start()
    path = f"/api/collections/{collection}"
    head = f"POST {path}/documents HTTP/1.1\r\nHost: here\r\nContent-Type: {kind}\r\nContent-Length: 9999\r\n\r\n"
    with socket.create_connection((server.base_url.host, server.base_url.port)) as connection:
        connection.sendall(head.encode() + b'{"id": "first", "content": "a"}\n')
    counted = 'route="/api/collections/{name}/documents",status="400"} 1.0'
    while counted not in server.get("/metrics").text:
        threading.Event().wait(0.01)
    assert [record for record in caplog.records if record.name == "rowspace.http"] == []
    assert server.post(f"{path}/count", json={}).json() == {"count": 3}
