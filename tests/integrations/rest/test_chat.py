from __future__ import annotations

import json


def ask(client, collection, **body):
    return client.post("/api/chat", json={"question": "What is a vector index?", "collection": collection, **body})


def test_an_answer_has_its_sources(client, collection):
    answer = ask(client, collection, k=2).json()
    assert answer["kind"] == "extractive"
    assert "vector index" in answer["text"]
    assert [source["id"] for source in answer["sources"]] == ["a", "b/c"]


def test_events_end_with_the_same_answer(client, collection):
    answer = ask(client, collection, stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [block.split("\n") for block in answer.text.strip().split("\n\n")]
    kinds = [event.removeprefix("event: ") for event, _ in events]
    data = [json.loads(line.removeprefix("data: ")) for _, line in events]
    assert (kinds[0], kinds[-1], {*kinds[1:-1]}) == ("sources", "answer", {"token"})
    assert "".join(one["token"] for one in data[1:-1]) == data[-1]["answer"]["text"]
    assert data[-1]["answer"]["text"] == ask(client, collection).json()["text"]


def test_no_such_collection_is_a_problem_also_for_events(client, problem_of):
    problem_of(ask(client, "nope"), 404)
    problem_of(ask(client, "nope", stream=True), 404)


def test_a_fault_has_its_place(client, collection, problem_of):
    problem = problem_of(ask(client, collection, k=0), 422)
    assert problem["errors"][0]["pointer"] == "/k"
