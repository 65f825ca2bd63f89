from __future__ import annotations

import json

import pytest


def ask(client, collection, **body):
    return client.post("/api/chat", json={"question": "What is a vector index?", "collection": collection, **body})


def events_of(answer):
    assert answer.headers["content-type"].startswith("text/event-stream")
    return [json.loads(block.split("\ndata: ")[1]) for block in answer.text.strip().split("\n\n")]


def test_an_answer_has_its_sources(client, collection):
    answer = ask(client, collection, k=2).json()
    assert answer["kind"] == "extractive"
    assert "vector index" in answer["text"]
    assert [source["id"] for source in answer["sources"]] == ["a", "b/c"]


def test_events_end_with_the_same_answer(client, collection):
    answer = ask(client, collection, stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-store", "no")
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
    # That of this server, as for a search.
    problem = problem_of(ask(client, collection, mode="mmr", fetch_k=101), 422)
    assert problem["errors"][0]["pointer"] == "/fetch_k"


KEY = "sk-never-in-an-answer"


@pytest.fixture
def talking(start, stub, monkeypatch):
    """A client of a server with a language model, which the stub is."""
    monkeypatch.setenv("OPENAI_BASE_URL", stub.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return start(chat_model="openai:stub-model")


def test_a_follow_up_is_searched_for_as_a_question_of_its_own(talking, stub, collection):
    history = [{"role": "user", "content": "What is baked?"}, {"role": "assistant", "content": "Bread [1]."}]
    body = {"question": "And where?", "history": history, "k": 1}
    stub.replies = ["Where is bread baked?", "In an oven [1]."]
    answer = ask(talking, collection, **body).json()
    assert (answer["searched_for"], answer["text"]) == ("Where is bread baked?", "In an oven [1].")
    assert [(source["id"], source["cited"]) for source in answer["sources"]] == [("d", True)]
    stub.replies = ["Where is bread baked?", "In an oven [1]."]
    assert events_of(ask(talking, collection, **body, stream=True))[-1]["answer"]["searched_for"] == (
        "Where is bread baked?"
    )
    stub.replies = ["In an oven [1]."]
    assert ask(talking, collection, **body, condense=False).json()["searched_for"] is None


def test_a_model_that_is_away_or_refuses(talking, stub, collection, problem_of):
    def failing(status, **headers):
        # Without the header, the client of OpenAI would try again by itself.
        stub.replies = [(status, {**headers, "x-should-retry": "false"}, f'{{"error": {{"message": "{KEY}"}}}}')]

    failing(429, **{"retry-after": "7"})
    answer = ask(talking, collection)
    assert KEY not in problem_of(answer, 503)["detail"]
    assert answer.headers["retry-after"] == "7"
    streamed = ask(talking, collection, stream=True)
    events = events_of(streamed)
    assert [event.get("status") for event in events] == [None, 503]
    assert events[1]["request_id"] == streamed.headers["x-request-id"]
    assert KEY not in streamed.text
    failing(401)
    assert KEY not in problem_of(ask(talking, collection), 502)["detail"]


def test_who_leaves_in_the_middle_ends_the_stream_of_the_model(talking, stub, collection):
    stub.replies = ["endless"]
    body = {"question": "What is a vector index?", "collection": collection, "stream": True}
    with talking.stream("POST", "/api/chat", json=body) as answer:
        assert next(part for part in answer.iter_text() if "event: token" in part)
    assert stub.left.wait(20)


def test_an_embedder_that_is_away(start, stub, rest_url, monkeypatch, name, problem_of):
    from langchain_openai import OpenAIEmbeddings

    embedder = OpenAIEmbeddings(
        model="stub-embedder", base_url=stub.url, api_key=KEY, check_embedding_ctx_length=False, max_retries=0
    )
    monkeypatch.setattr("rowspace.integrations._embedders.embedder_of", lambda _name: embedder)
    hosted = start(embedder="hosted:embedder", without_embedder=True)
    stub.replies = ["embed"]
    assert hosted.post("/api/collections", json={"name": name}).json()["embedder"] == "stub-embedder"
    documents = f"/api/collections/{name}/documents"
    assert hosted.post(documents, json={"documents": [{"content": "bread"}]}).json()["inserted"] == 1
    query = {"collection": name, "text": "bread"}
    assert hosted.post("/api/search", json=query).json()["hits"][0]["content"] == "bread"
    stub.replies = [(429, {"retry-after": "7"}, f'{{"error": {{"message": "{KEY}"}}}}')]
    for path, sent in (("/api/search", query), (documents, {"documents": [{"content": "oven"}]})):
        answer = hosted.post(path, json=sent)
        assert KEY not in problem_of(answer, 503)["detail"]
        assert answer.headers["retry-after"] == "7"
    stub.replies = [(200, {}, '{"data": null}')]
    problem_of(hosted.post("/api/search", json=query), 502)
