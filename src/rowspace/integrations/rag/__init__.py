"""Answer questions from documents: retrieve, ask a LangChain chat model, number the sources.

Without a model, the answer is extractive, which needs no extra. A model needs the extra `langchain`.
"""

from rowspace.integrations.rag.models import Answer, AnswerEvent, AnswerKind, AnswerRequest, Source, Turn
from rowspace.integrations.rag.service import AnswerService

__all__ = ["Answer", "AnswerEvent", "AnswerKind", "AnswerRequest", "AnswerService", "Source", "Turn"]
