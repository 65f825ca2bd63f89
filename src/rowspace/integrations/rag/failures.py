"""Map errors of a model or a hosted embedder to Rowspace's errors.

Libraries use different classes, but agree on `status_code` and `response.headers`. The provider's message stays in the
cause, because it may contain part of the key.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing, closing, contextmanager
from typing import TypeVar, cast

from rowspace.errors import ModelError, ModelUnavailable, RowspaceError
from rowspace.integrations.retrying import is_transient, retry_after, status_of

__all__ = ["aguarded", "guarded", "model_errors"]

T = TypeVar("T")

_AWAY = {"APIConnectionError", "APITimeoutError", "TransportError", "ConnectError", "ReadTimeout", "ServiceUnavailable"}
_LATER = {408, 409, 425, 429}
# Raised when a library parses an invalid response.
_MALFORMED = (ValueError, TypeError, LookupError, AttributeError)


@contextmanager
def model_errors(what: str) -> Iterator[None]:
    """Raise `ModelUnavailable` or `ModelError` instead of a library's error, with the original as the cause.

    Args:
        what: the subject of the message: `chat model` or `embedder`.
    """
    try:
        yield
    except RowspaceError:
        raise
    except Exception as error:
        mapped = _mapped(error, what)
        if mapped is None:
            raise
        raise mapped from error


def guarded(chunks: Iterator[T], what: str) -> Iterator[T]:
    """Yield from an iterator. Only its own errors are mapped, not those of the code that reads it."""
    with closing(cast("Generator[T, None, None]", chunks)):
        while True:
            with model_errors(what):
                try:
                    chunk = next(chunks)
                except StopIteration:
                    return
            yield chunk


async def aguarded(chunks: AsyncIterator[T], what: str) -> AsyncGenerator[T, None]:
    """Yield from an async iterator. Only its own errors are mapped."""
    async with aclosing(cast("AsyncGenerator[T, None]", chunks)):
        while True:
            with model_errors(what):
                try:
                    chunk = await anext(chunks)
                except StopAsyncIteration:
                    return
            yield chunk


def _mapped(error: Exception, what: str) -> RowspaceError | None:
    name, status = type(error).__name__, status_of(error)
    if status is not None and (status in _LATER or status >= 500):
        wait = retry_after(error)
        when = "later" if wait is None else f"in {math.ceil(wait)} s"
        return ModelUnavailable(f"The {what} returned HTTP {status} ({name}). Try again {when}.", retry_after=wait)
    if status is not None and status >= 400:
        fix = "Check the key, the model's name, and which input it accepts."
        return ModelError(f"The {what} refused the request with HTTP {status} ({name}). {fix}")
    if isinstance(error, OSError) or is_transient(error) or _AWAY & {kind.__name__ for kind in type(error).__mro__}:
        return ModelUnavailable(f"The {what} did not respond ({name}). Check its address, or try again later.")
    if isinstance(error, _MALFORMED) or hasattr(error, "response") or hasattr(error, "body"):
        return ModelError(f"The {what} returned an unreadable response ({name}).")
    return None
