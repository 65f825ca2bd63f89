"""The answer service as a LangChain runnable for chains, and as a tool for agents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from rowspace._optional import require
from rowspace.integrations.rag.models import Answer, AnswerRequest

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable
    from langchain_core.tools import BaseTool

__all__ = ["runnable", "tool"]

_DESCRIPTION = "Answer a question from the collected documents. Returns an answer with numbered sources."


class _Question(BaseModel):
    question: str = Field(description="A complete question, in the words of the user.", min_length=1, max_length=10_000)


def runnable(service: Any) -> Runnable[Any, Answer]:
    """Return a `Runnable` that maps a question, a dict or an `AnswerRequest` to an `Answer`."""
    runnables: Any = require("langchain_core.runnables", extra="langchain")

    def answer(given: Any) -> Answer:
        result: Answer = service.answer(_request(given))
        return result

    async def aanswer(given: Any) -> Answer:
        result: Answer = await service.aanswer(_request(given))
        return result

    made: Runnable[Any, Answer] = runnables.RunnableLambda(answer, aanswer, name="AnswerService")
    return made


def tool(service: Any, name: str, description: str | None, options: Mapping[str, Any]) -> BaseTool:
    """Return a tool that maps a question to a text. Its artifact is the `Answer`."""
    tools: Any = require("langchain_core.tools", extra="langchain")

    def answer(question: str) -> tuple[str, Answer]:
        return _shown(service.answer(question, **options))

    async def aanswer(question: str) -> tuple[str, Answer]:
        return _shown(await service.aanswer(question, **options))

    made: BaseTool = tools.StructuredTool.from_function(
        answer,
        aanswer,
        name=name,
        description=description or _DESCRIPTION,
        args_schema=_Question,
        response_format="content_and_artifact",
    )
    return made


def _request(given: Any) -> AnswerRequest | str:
    return AnswerRequest(**given) if isinstance(given, Mapping) else given


def _shown(answer: Answer) -> tuple[str, Answer]:
    sources = [f"[{source.number}] {source.id}" for source in answer.sources if source.cited]
    lines = [answer.notice, answer.text, "Sources: " + ", ".join(sources) if sources else None]
    return "\n".join(filter(None, lines)), answer
