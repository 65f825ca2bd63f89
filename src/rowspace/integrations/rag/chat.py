"""The chat model: find it by name, call it, and read its reply. Only this module needs LangChain."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import Any

from pydantic import ValidationError

from rowspace._optional import require
from rowspace.errors import ConfigurationError, MissingExtra, ModelError
from rowspace.integrations.rag.failures import aguarded, guarded, model_errors

__all__ = ["Chat", "Reply", "model_of"]

_WHAT = "chat model"
_CUT = "The answer is incomplete because the model reached its token limit."


class Reply:
    """The reply of a model so far, assembled from its chunks."""

    def __init__(self) -> None:
        self._message: Any = None

    def add(self, chunk: Any) -> str:
        """Add a message or a chunk, and return its text."""
        with model_errors(_WHAT):
            self._message = chunk if self._message is None else self._message + chunk
            return str(chunk.text)

    @property
    def usage(self) -> dict[str, int] | None:
        """The model's token counts, if it reports them."""
        counted = getattr(self._message, "usage_metadata", None) or {}
        return {name: count for name, count in counted.items() if isinstance(count, int)} or None

    @property
    def notice(self) -> str | None:
        """A notice for the reader if the model stopped early."""
        return _CUT if self._finish in {"length", "max_tokens", "MAX_TOKENS"} else None

    @property
    def _finish(self) -> Any:
        about = getattr(self._message, "response_metadata", None) or {}
        return about.get("finish_reason") or about.get("stop_reason")

    def text(self) -> str:
        """Return the complete text.

        Raises:
            ModelError: the text is empty.
        """
        text = str(self._message.text) if self._message is not None else ""
        if not text.strip():
            reason = self._finish or "none given"
            message = f"The {_WHAT} returned an empty answer (finish reason: {reason})."
            raise ModelError(message)
        return text


class Chat:
    """A LangChain chat model.

    Args:
        model: a `BaseChatModel`, or a string for LangChain's `init_chat_model`, such as `openai:gpt-4o-mini`.

    Raises:
        MissingExtra: the model is a string, and `langchain` or the package of its provider is not installed.
        ConfigurationError: the model is of another type, or a string that names no model.
    """

    def __init__(self, model: Any) -> None:
        self._model = model_of(model)
        base = require("langchain_core.language_models", extra="langchain").BaseChatModel
        if not isinstance(self._model, base):
            message = f"Expected a LangChain chat model or its name, got {type(model).__name__}."
            raise ConfigurationError(message)

    @property
    def name(self) -> str:
        """The model's name, or that of its class."""
        for attribute in ("model_name", "model"):
            value = getattr(self._model, attribute, None)
            if isinstance(value, str) and value:
                return value
        return type(self._model).__name__

    def ask(self, messages: list[tuple[str, str]]) -> Reply:
        """Return the model's reply.

        Raises:
            ModelUnavailable, ModelError: the model did not respond, or it refused or returned an invalid reply.
        """
        with model_errors(_WHAT):
            message = self._model.invoke(messages)
        return _replied(message)

    async def aask(self, messages: list[tuple[str, str]]) -> Reply:
        """Return the model's reply; see `ask`."""
        with model_errors(_WHAT):
            message = await self._model.ainvoke(messages)
        return _replied(message)

    def chunks(self, messages: list[tuple[str, str]]) -> Iterator[Any]:
        """Yield the chunks of the model's reply as they arrive. It raises the errors of `ask`."""
        return guarded(self._model.stream(messages), _WHAT)

    def achunks(self, messages: list[tuple[str, str]]) -> AsyncGenerator[Any, None]:
        """Yield the chunks of the model's reply as they arrive. It raises the errors of `ask`."""
        return aguarded(self._model.astream(messages), _WHAT)


def _replied(message: Any) -> Reply:
    reply = Reply()
    reply.add(message)
    return reply


def model_of(model: Any) -> Any:
    """Return the chat model with a name that LangChain's `init_chat_model` accepts. Return other objects unchanged.

    Raises:
        MissingExtra: `langchain`, or the package of the provider, is not installed.
        ConfigurationError: no such model exists, or it cannot be set up.
    """
    if not isinstance(model, str):
        return model
    try:
        from langchain.chat_models import init_chat_model
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "langchain":
            raise
        message = "To use a model by name, install LangChain: pip install langchain. Or pass a BaseChatModel."
        raise MissingExtra(message, name=error.name) from error
    try:
        return init_chat_model(model)
    except ImportError as error:
        message = f"The model {model!r} requires a package that is not installed: {error}"
        raise MissingExtra(message, name=error.name) from error
    except ValidationError as error:
        # The message of the error would repeat its input, which may include a key.
        message = f"The model {model!r} cannot be set up ({type(error).__name__})."
        raise ConfigurationError(message) from error
    except ValueError as error:
        why = str(error).partition("\n")[0]
        message = f"LangChain knows no model {model!r}. Use a name such as 'openai:gpt-4o-mini'. {why}"
        raise ConfigurationError(message) from error
    except Exception as error:
        why = str(error).partition("\n")[0]
        message = f"The model {model!r} cannot be set up: {why}"
        raise ConfigurationError(message) from error
