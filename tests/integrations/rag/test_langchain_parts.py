"""Inside LangChain: RetrievalQA, a chain, a tool of an agent. The howto shows the same."""

from __future__ import annotations

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnablePassthrough

from rowspace.integrations.langchain import RowspaceVectorStore
from rowspace.integrations.rag import Answer, AnswerRequest, AnswerService
from rowspace.testing import HashingEmbedder


class Embedder(HashingEmbedder, Embeddings):
    pass


class Scripted(GenericFakeChatModel):
    """Says what it is given, and takes tools, as a model that calls them does."""

    def bind_tools(self, *_arguments, **_options):
        return self


def scripted(*messages):
    return Scripted(messages=iter([AIMessage(one) if isinstance(one, str) else one for one in messages]))


@pytest.fixture
async def store(url):
    async with RowspaceVectorStore(Embedder(128), connection=url, collection_name="notes") as store:
        yield store


@pytest.fixture
async def service(url):
    service = AnswerService(url, Embedder(128), model=scripted("By hot water [1]."), collection="notes")
    yield service
    await service.aclose()


@pytest.mark.parametrize("search_type", ["similarity", "mmr", "hybrid"])
async def test_retrieval_qa(store, search_type):
    from langchain_classic.chains import RetrievalQA

    chain = RetrievalQA.from_chain_type(
        scripted("By hot water.", "By hot water."),
        retriever=store.as_retriever(search_type=search_type, search_kwargs={"k": 2}),
        return_source_documents=True,
    )
    for result in (chain.invoke({"query": "hot water"}), await chain.ainvoke({"query": "hot water"})):
        assert result["result"] == "By hot water."
        assert result["source_documents"][0].id == "tea"


async def test_a_chain_of_the_retriever(store):
    prompt = ChatPromptTemplate.from_template("{context}\n\n{question}")
    seen = []

    def look(value):
        seen.append(value.to_string())
        return value

    chain = (
        {"context": store.as_retriever(search_kwargs={"k": 1}), "question": RunnablePassthrough()}
        | prompt
        | RunnableLambda(look)
        | scripted("one", "two")
        | StrOutputParser()
    )
    assert [chain.invoke("hot water"), await chain.ainvoke("hot water")] == ["one", "two"]
    assert "Tea is made with hot water" in seen[0]
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    "question", ["hot water", {"question": "hot water", "k": 1}, AnswerRequest(question="hot water")]
)
async def test_a_chain_of_the_service(service, question):
    chain = service.as_runnable() | (lambda answer: answer)
    answer = chain.invoke(question) if isinstance(question, str) else await chain.ainvoke(question)
    assert isinstance(answer, Answer)
    assert answer.text == "By hot water [1]."


async def test_a_tool_by_itself(service):
    tool = service.as_tool("ask_notes", "Ask the notes.", k=1)
    assert (tool.name, tool.description) == ("ask_notes", "Ask the notes.")
    assert list(tool.args) == ["question"]
    assert tool.invoke({"question": "hot water"}) == "By hot water [1].\nSources: [1] tea"


def test_a_tool_says_that_its_answer_is_extractive(url):
    service = AnswerService(url, Embedder(128), collection="notes")
    said = service.as_tool(k=1).invoke({"question": "hot water"})
    assert said.startswith("This answer is extractive")
    assert said.endswith("Sources: [1] tea")
    service.close()


@pytest.mark.parametrize("side", ["sync", "async"])
async def test_a_tool_of_an_agent(service, side):
    from langchain.agents import create_agent

    call = {"name": "search_documents", "args": {"question": "hot water"}, "id": "call-1"}
    agent = create_agent(scripted(AIMessage("", tool_calls=[call]), "Tea: by hot water."), tools=[service.as_tool(k=2)])
    given = {"messages": [("user", "How is tea made?")]}
    result = agent.invoke(given) if side == "sync" else await agent.ainvoke(given)
    tool_message = next(message for message in result["messages"] if isinstance(message, ToolMessage))
    assert tool_message.content == "By hot water [1].\nSources: [1] tea"
    assert len(tool_message.artifact.sources) == 2
    assert tool_message.artifact.sources[0].id == "tea"
    assert result["messages"][-1].content == "Tea: by hot water."
