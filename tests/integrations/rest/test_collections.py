from __future__ import annotations

import pytest


def test_a_collection_is_created_listed_shown_and_deleted(client, name, problem_of):
    made = client.post(
        "/api/collections",
        json={"name": name, "dimension": 3, "distance": "l2", "metadata": {"a": None}, "indexed_keys": ["year"]},
    )
    assert made.status_code == 201
    assert made.headers["location"] == f"/api/collections/{name}"
    assert made.json() == {
        "name": name,
        "dimension": 3,
        "distance": "l2",
        "language": "simple",
        "embedder": "hashing-64",
        "index": made.json()["index"],
        "metadata": {"a": None},
        "indexed_keys": ["year"],
    }
    assert made.json()["index"]["method"] == "hnsw"
    assert client.get(made.headers["location"]).json() == made.json()
    assert made.json() in client.get("/api/collections").json()["collections"]
    gone = client.delete(f"/api/collections/{name}")
    assert (gone.status_code, gone.content) == (204, b"")
    problem_of(client.get(f"/api/collections/{name}"), 404)
    problem_of(client.delete(f"/api/collections/{name}"), 404)


def test_the_embedder_knows_the_dimension(client, name):
    assert client.post("/api/collections", json={"name": name}).json()["dimension"] == 64


def test_a_name_is_taken_once(client, collection, problem_of):
    problem = problem_of(client.post("/api/collections", json={"name": collection}), 409)
    assert collection in problem["detail"]
    assert problem["errors"][0]["pointer"] == "/name"


def test_a_name_in_any_language(client, name):
    text = f"文档_{name}"
    made = client.post("/api/collections", json={"name": text, "dimension": 2})
    assert client.get(made.headers["location"]).json()["name"] == text


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "a/b"}, "/name"),
        ({"name": "a\n"}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": "x", "dimension": 0}, "/dimension"),
        ({"name": "x", "dimension": "4"}, "/dimension"),
        ({"name": "x", "dimension": 10**30}, "/dimension"),
        ({"name": "x", "dimension": True}, "/dimension"),
        ({"name": "x", "distance": "hamming"}, "/distance"),
        ({"name": "x", "index": "btree"}, "/index"),
        ({"name": "x", "dimension": 2, "indexed_keys": ["year", "a..b"]}, "/indexed_keys/1"),
        ({"name": "x", "indexed_keys": "year"}, "/indexed_keys"),
        ({"name": "x", "unknown": 1}, "/unknown"),
        ({"name": "x", "a/b~c": 1}, "/a~1b~0c"),
        ({}, "/name"),
        ([], ""),
    ],
)
def test_a_fault_has_its_place(client, problem_of, body, pointer):
    problem = problem_of(client.post("/api/collections", json=body), 422)
    assert [fault["pointer"] for fault in problem["errors"]] == [pointer]


@pytest.mark.parametrize("metadata", ['{"a": "\\u0000"}', '{"\\u0000": 1}', '{"a": 1e999}'])
def test_metadata_that_jsonb_cannot_hold(client, name, problem_of, metadata):
    body = f'{{"name": "{name}", "dimension": 2, "metadata": {metadata}}}'
    problem_of(client.post("/api/collections", content=body, headers={"content-type": "application/json"}), 422)
    problem_of(client.get(f"/api/collections/{name}"), 404)


def test_a_language_that_the_server_does_not_have(client, name, problem_of):
    problem = problem_of(
        client.post("/api/collections", json={"name": name, "dimension": 2, "language": "x'; --"}), 409
    )
    assert "text-search configuration" in problem["detail"]
    assert problem["errors"][0]["pointer"] == "/language"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"dimension": 4, "distance": "l1", "index": "ivfflat"}, "/index"),
        ({"dimension": 16_000}, "/index"),
        ({}, "/dimension"),
    ],
)
def test_what_does_not_go_together_has_its_place(start, name, problem_of, body, pointer):
    bare = start(without_embedder=True)
    problem = problem_of(bare.post("/api/collections", json={"name": name, **body}), 409)
    assert [fault["pointer"] for fault in problem["errors"]] == [pointer]
