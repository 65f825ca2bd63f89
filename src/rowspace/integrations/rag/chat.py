"""The chat model: found by its name, asked, and its answer read. The only part that needs LangChain."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import Any

from pydantic import ValidationError

from rowspace._optional import require
from rowspace.errors import ConfigurationError, MissingExtra, ModelError
from rowspace.integrations.rag.failures import aguarded, guarded, model_errors

__all__ = ["Chat", "Reply", "model_of"]

_WHAT = "chat model"
_CUT = "The model stopped at its limit of tokens: the answer is cut off."


class Reply:
    """What a model has said so far, put together from its chunks."""

    def __init__(self) -> None:
        self._message: Any = None

    def add(self, chunk: Any) -> str:
        """Take a message or a chunk of one and return its text."""
        with model_errors(_WHAT):
            self._message = chunk if self._message is None else self._message + chunk
            return str(chunk.text)

    @property
    def usage(self) -> dict[str, int] | None:
        """The tokens that the model counted, where it did."""
        counted = getattr(self._message, "usage_metadata", None) or {}
        return {name: count for name, count in counted.items() if isinstance(count, int)} or None

    @property
    def notice(self) -> str | None:
        """What the reader has to know: that the model stopped before it was done."""
        return _CUT if self._finish in {"length", "max_tokens", "MAX_TOKENS"} else None

    @property
    def _finish(self) -> Any:
        about = getattr(self._message, "response_metadata", None) or {}
        return about.get("finish_reason") or about.get("stop_reason")

    def text(self) -> str:
        """Return the whole text.

        Raises:
            ModelError: there is none.
        """
        text = str(self._message.text) if self._message is not None else ""
        if not text.strip():
            reason = self._finish or "none given"
            message = f"The {_WHAT} returned an empty answer (its reason to finish: {reason})."
            raise ModelError(message)
        return text


class Chat:
    """A LangChain chat model.

    Args:
        model: a `BaseChatModel`, or a string for LangChain's `init_chat_model`, such as `openai:gpt-4o-mini`.

    Raises:
        MissingExtra: the model is a string and `langchain` is not installed, or what it names is not.
        ConfigurationError: neither, or a string that names no model.
    """

    def __init__(self, model: Any) -> None:
        self._model = model_of(model)
        base = require("langchain_core.language_models", extra="langchain").BaseChatModel
        if not isinstance(self._model, base):
            message = f"The model is a LangChain chat model or the name of one, got {type(model).__name__}."
            raise ConfigurationError(message)

    @property
    def name(self) -> str:
        """The model's name, else that of its class."""
        for attribute in ("model_name", "model"):
            value = getattr(self._model, attribute, None)
            if isinstance(value, str) and value:
                return value
        return type(self._model).__name__

    def ask(self, messages: list[tuple[str, str]]) -> Reply:
        """Return the model's reply.

        Raises:
            ModelUnavailable, ModelError: it did not answer; it refused, or answered with something else.
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
        """Yield the chunks of the model's reply as they come; the errors are those of `ask`."""
        return guarded(self._model.stream(messages), _WHAT)

    def achunks(self, messages: list[tuple[str, str]]) -> AsyncGenerator[Any, None]:
        """Yield the chunks of the model's reply as they come; the errors are those of `ask`."""
        return aguarded(self._model.astream(messages), _WHAT)


def _replied(message: Any) -> Reply:
    reply = Reply()
    reply.add(message)
    return reply


def model_of(model: Any) -> Any:
    """Return the chat model of a name, as `init_chat_model` of LangChain takes it; what is no name stays what it is.

    Raises:
        MissingExtra: `langchain`, or the package of the provider, is not installed.
        ConfigurationError: there is none of that name, or it cannot be set up.
    """
    if not isinstance(model, str):
        return model
    try:
        from langchain.chat_models import init_chat_model
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "langchain":
            raise
        message = "A model by its name needs LangChain's own package: pip install langchain. Or give a BaseChatModel."
        raise MissingExtra(message, name=error.name) from error
    try:
        return init_chat_model(model)
    except ImportError as error:
        message = f"The model {model!r} needs a package that is not installed: {error}"
        raise MissingExtra(message, name=error.name) from error
    except ValidationError as error:
        # It would repeat what it was given, a key among it.
        message = f"The model {model!r} cannot be set up ({type(error).__name__})."
        raise ConfigurationError(message) from error
    except ValueError as error:
        why = str(error).partition("\n")[0]
        message = f"LangChain knows no model {model!r}; a name is such as 'openai:gpt-4o-mini'. {why}"
        raise ConfigurationError(message) from error
    except Exception as error:
        why = str(error).partition("\n")[0]
        message = f"The model {model!r} cannot be set up: {why}"
        raise ConfigurationError(message) from error
