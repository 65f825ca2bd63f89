"""Answers from documents (extra `langchain` for a model; extractive answers need none)."""

from rowspace.integrations.rag.models import Answer, AnswerEvent, AnswerKind, AnswerRequest, Source, Turn

__all__ = ["Answer", "AnswerEvent", "AnswerKind", "AnswerRequest", "Source", "Turn"]
