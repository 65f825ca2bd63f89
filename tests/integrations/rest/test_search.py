from __future__ import annotations

import pytest

from rowspace.testing import HashingEmbedder

VECTOR = HashingEmbedder(64).embed_query("vector index")


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [hit["id"] for hit in answer.json()["hits"]]


def search(client, collection, **body):
    return client.post("/api/search", json={"collection": collection, **body})


@pytest.mark.parametrize("query", [{"text": "vector index"}, {"vector": VECTOR}])
def test_by_text_or_vector(client, collection, query):
    answer = search(client, collection, k=2, **query)
    assert ids(answer) == ["a", "b/c"]
    hit = answer.json()["hits"][0]
    assert hit["rank"] == 1
    assert hit["metadata"] == {"year": 2020, "kind": "note"}
    assert hit["similarity"] == pytest.approx(1 - hit["distance"])


@pytest.mark.parametrize("mode", ["vector", "mmr"])
def test_vectors_of_zeros_have_no_distance(client, name, mode):
    client.post("/api/collections", json={"name": name, "dimension": 2})
    vectors = {"zeros": [0, 0], "near": [1, 1]}
    documents = [{"id": id_, "content": id_, "embedding": vector} for id_, vector in vectors.items()]
    client.post(f"/api/collections/{name}/documents", json={"documents": documents})
    hits = search(client, name, vector=[1, 1], k=2, mode=mode).json()["hits"]
    assert [(hit["id"], hit["distance"], hit["similarity"]) for hit in hits] == [("near", 0, 1), ("zeros", None, None)]
    hits = search(client, name, vector=[0, 0], k=2, mode=mode).json()["hits"]
    assert [hit["distance"] for hit in hits] == [None, None]


def test_filter(client, collection):
    assert ids(search(client, collection, text="vector index", filter={"year": {"$gt": 2021}})) == ["d"]


def test_range(client, collection):
    hits = search(client, collection, vector=VECTOR).json()["hits"]
    middle = hits[1]["distance"]
    nearer = search(client, collection, vector=VECTOR, max_distance=middle - 1e-6)
    farther = search(client, collection, vector=VECTOR, min_distance=middle + 1e-6)
    assert (ids(nearer), ids(farther)) == ([hits[0]["id"]], [hits[2]["id"]])
    similar = hits[1]["similarity"] + 1e-6
    assert ids(search(client, collection, vector=VECTOR, min_similarity=similar)) == [hits[0]["id"]]
    [many] = search(client, collection, queries=[VECTOR], min_similarity=similar).json()["results"]
    assert [hit["id"] for hit in many["hits"]] == [hits[0]["id"]]


def test_by_keyword_and_hybrid(client, collection):
    found = search(client, collection, text="bread", mode="text", highlight=True).json()["hits"]
    assert [(hit["id"], hit["distance"]) for hit in found] == [("d", None)]
    assert "<mark>bread</mark>" in found[0]["highlight"]
    hybrid = search(client, collection, text="bread", mode="hybrid", k=1).json()["hits"]
    assert hybrid[0]["id"] == "d"
    assert hybrid[0]["score"] > 0


def test_mmr(client, name):
    client.post("/api/collections", json={"name": name, "dimension": 2})
    vectors = {"near": [1, 0.1], "twin": [1, 0.11], "other": [1, -0.9]}
    documents = [{"id": id_, "content": id_, "embedding": vector} for id_, vector in vectors.items()]
    client.post(f"/api/collections/{name}/documents", json={"documents": documents})
    assert ids(search(client, name, vector=[1, 0.1], k=2)) == ["near", "twin"]
    assert ids(search(client, name, vector=[1, 0.1], k=2, mode="mmr", lambda_mult=0.3, fetch_k=3)) == ["near", "other"]


@pytest.mark.parametrize("mode", ["vector", "mmr", "hybrid"])
def test_batch_is_the_same_as_one_by_one(client, collection, mode):
    texts = ["bread", "vector index", "words"]
    answer = search(client, collection, queries=texts, k=2, mode=mode, filter={"year": {"$gte": 2020}})
    found = [[hit["id"] for hit in result["hits"]] for result in answer.json()["results"]]
    filter_ = {"year": {"$gte": 2020}}
    assert found == [ids(search(client, collection, text=text, k=2, mode=mode, filter=filter_)) for text in texts]


def test_batch_of_texts_and_vectors(client, collection):
    answer = search(client, collection, queries=["bread", VECTOR], k=1)
    assert [result["hits"][0]["id"] for result in answer.json()["results"]] == ["d", "a"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"text": "a", "vector": VECTOR}, ""),
        ({"text": "a", "mode": "hybrid", "max_distance": 1}, ""),
        ({"vector": VECTOR, "max_distance": 1, "min_similarity": 0}, ""),
        ({"queries": ["a"], "max_distance": 1, "min_similarity": 0}, ""),
        ({"text": ""}, "/text"),
        ({"text": "a\0"}, "/text"),
        ({"vector": [1e39] * 64}, "/vector"),
        ({"vector": [10**400] * 64}, "/vector/0"),
        ({"vector": [True] * 64}, "/vector/0"),
        ({"vector": VECTOR, "k": 101}, "/k"),
        ({"vector": VECTOR, "k": 10**20}, "/k"),
        ({"vector": VECTOR, "k": 1.5}, "/k"),
        ({"vector": VECTOR, "filter": {"year": {"$gt": None}}}, "/filter"),
        ({"vector": VECTOR, "filter": {"a": "\0"}}, "/filter"),
        ({"vector": VECTOR, "filter": []}, "/filter"),
        ({"vector": VECTOR, "ef_search": 0}, "/ef_search"),
        ({"vector": VECTOR, "where": {}}, "/where"),
        ({"queries": []}, "/queries"),
        ({"queries": ["a"] * 21}, "/queries"),
        ({"queries": ["a"], "k": 0}, "/k"),
    ],
)
def test_a_fault_has_its_place(client, collection, problem_of, body, pointer):
    problem = problem_of(search(client, collection, **body), 422)
    assert problem["errors"][0]["pointer"].startswith(pointer)
    assert pointer or problem["errors"][0]["pointer"] == ""


@pytest.mark.parametrize(
    ("body", "pointer"), [({"vector": [1.0]}, "/vector"), ({"queries": [VECTOR, [1.0]]}, "/queries/1")]
)
def test_a_vector_that_does_not_fit_the_collection(client, collection, problem_of, body, pointer):
    assert problem_of(search(client, collection, **body), 409)["errors"][0]["pointer"] == pointer


def test_a_recall_that_the_collection_was_not_tuned_for(client, collection, problem_of):
    problem = problem_of(search(client, collection, text="a", recall=0.9), 409)
    assert problem["errors"][0]["pointer"] == "/recall"
    assert "needs a measured curve" in problem["detail"]


def test_a_filter_names_the_place_within(client, collection, problem_of):
    problem = problem_of(search(client, collection, text="a", filter={"year": {"$gt": None}}), 422)
    assert "filter.year.$gt" in problem["detail"]


def test_no_collection(client, problem_of):
    problem_of(search(client, "nope", text="a"), 404)


def test_a_collection_that_is_made_anew_is_searched_anew(client, name):
    for number in (1, 2):
        client.post("/api/collections", json={"name": name, "dimension": 2})
        document = {"id": f"d{number}", "content": "x", "embedding": [1, 1]}
        client.post(f"/api/collections/{name}/documents", json={"documents": [document]})
        assert ids(search(client, name, vector=[1, 1])) == [f"d{number}"]
        client.delete(f"/api/collections/{name}")
    assert search(client, name, vector=[1, 1]).status_code == 404


def test_without_a_k_there_are_at_most_as_many_as_the_server_gives(start, collection):
    few = start(max_k=2)
    assert ids(search(few, collection, vector=VECTOR)) == ["a", "b/c"]
    many = few.post("/api/search", json={"collection": collection, "queries": [VECTOR]}).json()["results"]
    assert [hit["id"] for hit in many[0]["hits"]] == ["a", "b/c"]
    answer = few.post("/api/chat", json={"collection": collection, "question": "What is an index?"})
    assert len(answer.json()["sources"]) == 2
    assert search(few, collection, vector=VECTOR, k=3).status_code == 422


@pytest.mark.parametrize(
    ("query", "pointer", "said"),
    [
        ("", "/queries/1", "at least 1 character"),
        ([1, "x"], "/queries/1/1", "valid number"),
        ([], "/queries/1", "at least 1 item"),
        (5, "/queries/1", "a text or a list of numbers"),
    ],
)
def test_the_place_of_a_bad_query(client, collection, query, pointer, said):
    """It was that of the names that pydantic has for what a query may be, and of each of them."""
    answer = search(client, collection, queries=["a", query])
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert said in error["detail"]
