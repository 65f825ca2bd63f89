"""The real clients of langchain-openai against a server on loopback: what goes well, and each thing that does not."""

from __future__ import annotations

import json

import pytest
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from rowspace.errors import ModelError, ModelUnavailable
from rowspace.integrations.langchain import RowspaceVectorStore
from rowspace.integrations.rag import Answer, AnswerService
from rowspace.testing import HashingEmbedder

KEY = "sk-never-in-a-message"


def chat(stub, **options):
    return ChatOpenAI(model="stub-model", base_url=stub.url, api_key=KEY, **{"max_retries": 0, **options})


def embeddings(stub, **options):
    # check_embedding_ctx_length counts tokens with tiktoken, which downloads its tables.
    return OpenAIEmbeddings(
        model="stub-embedder",
        base_url=stub.url,
        api_key=KEY,
        check_embedding_ctx_length=False,
        **{"max_retries": 0, **options},
    )


@pytest.fixture
async def make(url, stub):
    made = []

    def make(model=None, embedder=None):
        made.append(AnswerService(url, embedder or HashingEmbedder(128), model=model or chat(stub), collection="notes"))
        return made[-1]

    yield make
    for service in made:
        await service.aclose()


async def ask(service, way):
    match way:
        case "answer":
            service.answer("hot water")
        case "stream":
            list(service.stream("hot water"))
        case "aanswer":
            await service.aanswer("hot water")
        case _:
            assert [event async for event in service.astream("hot water")]


async def outcomes(service):
    """Return the errors of the four ways to ask; each has to be one of Rowspace's, and to keep the key to itself."""
    errors = []
    for way in ("answer", "stream", "aanswer", "astream"):
        with pytest.raises(ModelError) as raised:
            await ask(service, way)
        assert KEY not in str(raised.value)
        errors.append(raised.value)
    return errors


async def test_chat(make, stub):
    stub.replies = ["By hot water [1]."]
    service = make()
    answer = service.answer("hot water", k=2)
    assert (answer.text, answer.model) == ("By hot water [1].", "stub-model")
    assert answer.usage == {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
    assert await service.aanswer("hot water", k=2) == answer
    path, body = stub.requests[0]
    assert (path, body["model"]) == ("/v1/chat/completions", "stub-model")
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert "Tea is made with hot water." in body["messages"][1]["content"]


async def test_streaming(make, stub):
    stub.replies = ["By hot water [1]. 热水。"]
    service = make()
    events = list(service.stream("hot water", k=1))
    tokens = [event.token for event in events if event.type == "token"]
    assert len(tokens) == 5
    assert "".join(tokens) == events[-1].answer.text == "By hot water [1]. 热水。"
    assert [event async for event in service.astream("hot water", k=1)] == events
    assert stub.requests[0][1]["stream"] is True


async def test_a_follow_up(make, stub):
    history = [{"role": "user", "content": "What is tea made with?"}, {"role": "assistant", "content": "水 [1]."}]
    options = {"history": history, "k": 1, "filter": {"kind": "food"}}
    service = make()

    async def astreamed():
        return [event async for event in service.astream("And then?", **options)][-1].answer

    ways = (
        lambda: service.answer("And then?", **options),
        lambda: list(service.stream("And then?", **options))[-1].answer,
        lambda: service.aanswer("And then?", **options),
        astreamed,
    )
    for way in ways:
        stub.requests.clear()
        stub.replies = ["How long does tea with hot water draw?", "Three minutes [1]."]
        answer = way()
        answer = answer if isinstance(answer, Answer) else await answer
        assert answer.searched_for == "How long does tea with hot water draw?"
        assert (answer.text, [source.id for source in answer.sources]) == ("Three minutes [1].", ["tea"])
        condensing, answering = (body["messages"] for _, body in stub.requests)
        assert [message["role"] for message in condensing] == ["system", "user"]
        assert "user: What is tea made with?\n\nassistant: 水 [1]." in condensing[1]["content"]
        assert [message["role"] for message in answering] == ["system", "user", "assistant", "user"]
    stub.replies = ["How long does tea draw?", "Three minutes [1]."]
    assert service.answer("And then?", **options).usage == {"input_tokens": 22, "output_tokens": 14, "total_tokens": 36}


async def test_a_model_that_is_away_for_the_question_to_search_for(make, stub):
    stub.replies = [(429, {"retry-after": "7"}, "{}")]
    service, history = make(), [{"role": "user", "content": "hi"}]
    with pytest.raises(ModelUnavailable) as raised:
        service.answer("And then?", history=history)
    with pytest.raises(ModelUnavailable) as araised:
        await service.aanswer("And then?", history=history)
    assert (raised.value.retry_after, araised.value.retry_after) == (7, 7)


async def test_embeddings(make, stub, url):
    stub.replies = ["embed"]
    async with RowspaceVectorStore(embeddings(stub), connection=url, collection_name="openai") as store:
        store.add_texts(["tea with hot water", "数据库"], ids=["tea", "db"])
        assert store.create_collection().embedder == "stub-embedder"
        assert [document.id for document in store.similarity_search("hot water")] == ["tea", "db"]
        await store.aadd_texts(["rows and columns"], ids=["rows"])
        assert [document.id for document in await store.asimilarity_search("columns", k=1)] == ["rows"]
        assert {path for path, _ in stub.requests} == {"/v1/embeddings"}
        store.delete_collection()


@pytest.mark.parametrize("wait", ["7", None])
async def test_429(make, stub, wait):
    stub.replies = [(429, {"retry-after": wait} if wait else {}, json.dumps({"error": {"message": f"slow, {KEY}"}}))]
    for error in await outcomes(make()):
        assert isinstance(error, ModelUnavailable)
        assert error.retry_after == (float(wait) if wait else None)
        assert str(error).startswith("The chat model returned HTTP 429")


def test_429_and_then_an_answer(make, stub):
    stub.replies = [(429, {"retry-after-ms": "1"}, "{}"), "By hot water [1]."]
    assert make(chat(stub, max_retries=1)).answer("hot water").text == "By hot water [1]."
    assert len(stub.requests) == 2


@pytest.mark.parametrize("status", [500, 503])
async def test_5xx(make, stub, status):
    stub.replies = [(status, {}, "<html>oops</html>")]
    for error in await outcomes(make()):
        assert isinstance(error, ModelUnavailable)
        assert f"HTTP {status}" in str(error)


@pytest.mark.parametrize("status", [400, 401, 404])
async def test_4xx(make, stub, status):
    stub.replies = [(status, {}, json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}))]
    for error in await outcomes(make()):
        assert not isinstance(error, ModelUnavailable)
        assert f"refused the request with HTTP {status}" in str(error)


async def test_timeout(make, stub):
    stub.replies = ["hang"]
    for error in await outcomes(make(chat(stub, timeout=0.1))):
        assert isinstance(error, ModelUnavailable)
        assert "did not respond" in str(error)


async def test_nobody_listens(make, stub):
    model = chat(stub)
    stub.close()
    for error in await outcomes(make(model)):
        assert isinstance(error, ModelUnavailable)


@pytest.mark.parametrize(
    "text",
    [
        "<html>hello</html>",
        '{"choices": null}',
        '{"choices": []}',
        "{}",
        "[]",
        '"hello"',
        '{"error": {"message": "no"}}',
    ],
)
async def test_malformed(make, stub, text):
    stub.replies = [(200, {}, text)]
    for error in await outcomes(make()):
        assert not isinstance(error, ModelUnavailable)
        assert "unreadable response" in str(error) or "empty answer" in str(error)


BROKEN = 'data: {"id": "c1", "choices": [{"del\n\n'
HALF = (
    'data: {"id": "c1", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "By"}}]}\n\n'
)


@pytest.mark.parametrize(
    ("headers", "text", "message"),
    [({}, BROKEN, "unreadable"), ({"content-length": "9999"}, HALF, "did not respond")],
    ids=["malformed", "cut"],
)
async def test_a_stream_that_breaks(make, stub, headers, text, message):
    stub.replies = [(200, {"content-type": "text/event-stream", **headers}, text)]
    service = make()
    for way in ("stream", "astream"):
        with pytest.raises(ModelError, match=message):
            await ask(service, way)


def test_an_answer_at_the_limit_of_tokens_says_so(make, stub):
    choice = {"index": 0, "message": {"role": "assistant", "content": "By hot"}, "finish_reason": "length"}
    stub.replies = [(200, {}, json.dumps({"id": "c", "created": 1, "model": "m", "choices": [choice]}))]
    answer = make().answer("hot water")
    assert (answer.kind, answer.text) == ("generated", "By hot")
    assert "token limit" in answer.notice


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((429, {"retry-after": "3"}, "{}"), "The embedder returned HTTP 429"),
        ((500, {}, "{}"), "The embedder returned HTTP 500"),
        ((401, {}, "{}"), "The embedder refused the request with HTTP 401"),
        ((200, {}, '{"data": null}'), "The embedder returned an unreadable response"),
        ("hang", "The embedder did not respond"),
    ],
    ids=str,
)
async def test_an_embedder_that_fails(make, stub, reply, message):
    stub.replies = [reply]
    service = make(embedder=embeddings(stub, timeout=0.2))
    for error in await outcomes(service):
        assert str(error).startswith(message)


def test_a_model_by_its_name(make, stub, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", stub.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    stub.replies = ["By hot water [1]."]
    assert make("openai:stub-model").answer("hot water").model == "stub-model"
