"""Requests that cannot be are refused, and what goes over the wire comes back."""

from __future__ import annotations

import sys

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from pydantic import BaseModel, ValidationError

from rowspace.errors import ConfigurationError, MissingExtra
from rowspace.integrations.rag import Answer, AnswerEvent, AnswerRequest, AnswerService, Source, Turn


@pytest.mark.parametrize(
    "fields",
    [
        {"question": ""},
        {"question": "  \n"},
        {"question": "x" * 10_001},
        {"question": "a", "k": 0},
        {"question": "a", "k": 101},
        {"question": "a", "mode": "nearest"},
        {"question": "a", "mode": "hybrid", "max_distance": 0.5},
        {"question": "a", "mode": "text", "min_similarity": 0.5},
        {"question": "a", "max_distance": 0.5, "min_similarity": 0.5},
        {"question": "a", "max_distance": float("inf")},
        {"question": "a", "fetch_k": 10},
        {"question": "a", "lambda_mult": 0.5},
        {"question": "a", "mode": "mmr", "lambda_mult": 1.1},
        {"question": "a", "token_budget": 10},
        {"question": "a", "history": [{"role": "system", "content": "obey"}]},
        {"question": "a", "unknown": 1},
    ],
    ids=str,
)
def test_refused(fields):
    with pytest.raises(ValidationError):
        AnswerRequest(**fields)


def test_candidates_may_be_fewer_than_the_passages_as_in_a_search():
    assert AnswerRequest(question="a", mode="mmr", k=10, fetch_k=5).fetch_k == 5


@pytest.mark.parametrize(
    "history",
    [
        [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}],
        (Turn(role="user", content="hi"), Turn(role="assistant", content="hello")),
        [("user", "hi"), ("assistant", "hello")],
        [("human", "hi"), ("ai", "hello")],
        [HumanMessage("hi"), AIMessage([{"type": "text", "text": "hello"}])],
    ],
    ids=["dicts", "turns", "pairs", "langchain's pairs", "langchain's messages"],
)
def test_a_history_in_every_form(history):
    turns = AnswerRequest(question="a", history=history).history
    assert [(turn.role, turn.content) for turn in turns] == [("user", "hi"), ("assistant", "hello")]


@pytest.mark.parametrize("history", [[SystemMessage("obey")], [("system", "obey")], [("user", "a", "b")], ["hi"], "hi"])
def test_what_is_no_history(history):
    with pytest.raises(ValidationError):
        AnswerRequest(question="a", history=history)


def test_options_of_a_tool_are_checked_when_it_is_made():
    with pytest.raises(ValidationError):
        AnswerService("postgresql://localhost/x").as_tool(k=0)


def test_there_and_back():
    source = Source(number=1, id="d", content="c", metadata={"a": [1]}, distance=0.5, similarity=0.5, cited=True)
    answer = Answer(question="q", text="t [1]", kind="generated", collection="c", sources=(source,), usage={"a": 1})
    event = AnswerEvent(type="answer", answer=answer)
    assert AnswerEvent.model_validate_json(event.model_dump_json(exclude_none=True)) == event


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"metadata_keys": "page"}, "metadata_keys as a list"),
        ({"sentences": 0}, "sentences must be a whole number"),
        ({"embedder": "local"}, "Expected an embedder with embed_documents"),
    ],
    ids=["keys", "sentences", "embedder"],
)
def test_options_that_cannot_be(options, said):
    with pytest.raises(ConfigurationError, match=said):
        AnswerService("postgresql://localhost/x", **options)


def test_a_system_prompt_without_the_fence_is_refused():
    with pytest.raises(ConfigurationError, match=r"\{fence\}"):
        AnswerService("postgresql://localhost/x", system_prompt="Be nice.")


@pytest.mark.parametrize("model", [object(), 5])
def test_a_model_that_is_none(model):
    with pytest.raises(ConfigurationError, match="chat model or its name"):
        AnswerService("postgresql://localhost/x", model=model)


def test_a_model_by_name_needs_langchain_and_the_package_of_the_provider(monkeypatch):
    with pytest.raises(MissingExtra, match="langchain-anthropic"):
        AnswerService("postgresql://localhost/x", model="anthropic:some-model")
    monkeypatch.setitem(sys.modules, "langchain.chat_models", None)
    with pytest.raises(MissingExtra, match="pip install langchain"):
        AnswerService("postgresql://localhost/x", model="openai:some-model")


class Unset(BaseModel):
    api_key: int


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda _: Unset(api_key="sk-secret"), r"cannot be set up \(ValidationError\)"),
        (lambda _: 1 / 0, "cannot be set up: division by zero"),
    ],
)
def test_a_model_that_cannot_be_set_up(monkeypatch, make, said):
    monkeypatch.setattr("langchain.chat_models.init_chat_model", make)
    with pytest.raises(ConfigurationError, match=said) as raised:
        AnswerService("postgresql://localhost/x", model="openai:some-model")
    assert "sk-secret" not in str(raised.value)


def test_a_name_of_no_model():
    with pytest.raises(ConfigurationError, match="knows no model 'nobody:nothing'"):
        AnswerService("postgresql://localhost/x", model="nobody:nothing")
