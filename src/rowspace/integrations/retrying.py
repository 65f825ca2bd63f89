"""Which errors of a hosted service are transient, and how long to wait before a retry."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

from rowspace.errors import ConfigurationError
from rowspace.repositories.given import size

__all__ = ["Retry", "is_transient", "retry_after", "status_of"]

#: Statuses that suggest a retry: a timeout, too many requests, a failing or overloaded server.
_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 529})

#: Where clients keep the status and the headers of a response: most of them, Google's, and botocore.
_STATUS, _HEADERS = ("status_code", "status", "code", "HTTPStatusCode"), ("headers", "HTTPHeaders")

#: Exceptions of common HTTP clients for a missing response, by top-level module and name.
_NO_ANSWER = frozenset(
    {
        ("aiohttp", "ClientConnectionError"),
        ("httpx", "TransportError"),
        ("httpx2", "TransportError"),
        ("requests", "ConnectionError"),
        ("requests", "Timeout"),
    }
)


def is_transient(error: BaseException) -> bool:
    """Return whether the same request may succeed later.

    True for a response with status 408, 425, 429, 500, 502, 503, 504 or 529 (see `status_of`), and for a missing
    response: a `ConnectionError`, a `TimeoutError`, or their equivalents in aiohttp, httpx and requests, also as the
    cause of another error.
    """
    status = status_of(error)
    if status is not None:
        return status in _STATUSES
    return any(
        isinstance(one, ConnectionError | TimeoutError) or not _NO_ANSWER.isdisjoint(_kinds(one))
        for one in _causes(error)
    )


def retry_after(error: BaseException) -> float | None:
    """Return the seconds to wait from the header `Retry-After`, which can be a number or a date, or None."""
    headers: Any = next(filter(None, (_of(one, _HEADERS) for one in _answers(error))), {})
    names = {str(name).lower(): value for name, value in dict(headers).items()}
    try:
        if "retry-after-ms" in names:
            return _bounded(float(names["retry-after-ms"]) / 1_000)
        given = str(names["retry-after"]).strip()
    except (KeyError, ValueError):
        return None
    return _seconds(given)


@dataclass(frozen=True, slots=True)
class Retry:
    """When to retry a request.

    If the server says how long to wait, the wait is that long plus up to a tenth, so that clients do not all return at
    once. Otherwise the wait is random, with an upper bound that doubles with each attempt.

    Args:
        attempts: the total number of attempts.
        first: the upper bound, in seconds, of the wait before the second attempt.
        longest: the maximum wait in seconds; an error that requests a longer one is raised immediately.
        on: decides which errors to retry.

    Raises:
        ConfigurationError: `attempts` is not an integer of at least 1, or a duration is not a number of seconds.
    """

    attempts: int = 6
    first: float = 1.0
    longest: float = 60.0
    on: Callable[[BaseException], bool] = is_transient

    def __post_init__(self) -> None:
        size("attempts", self.attempts)
        for name in ("first", "longest"):
            given: Any = getattr(self, name)
            # The comparison is False for NaN.
            if not (isinstance(given, int | float) and given >= 0):
                message = f"{name} must be a number of seconds, at least 0, got {given!r}."
                raise ConfigurationError(message)

    def options(self, tenacity: Any) -> dict[str, Any]:
        """Return the options of `tenacity.Retrying`."""
        return {
            "retry": tenacity.retry_if_exception(self._again),
            "stop": tenacity.stop_after_attempt(self.attempts),
            "wait": self._wait,
            "reraise": True,
        }

    def _again(self, error: BaseException) -> bool:
        return isinstance(error, Exception) and self.on(error) and (retry_after(error) or 0) <= self.longest

    def _wait(self, state: Any) -> float:
        asked = retry_after(state.outcome.exception())
        if asked is not None:
            return asked * random.uniform(1, 1.1)  # noqa: S311 -- spreads requests; not for security
        return random.uniform(0, min(self.longest, self.first * 2 ** (state.attempt_number - 1)))  # noqa: S311


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status of a client's error, or None.

    It is an attribute of the error, of its `response`, or of those of its causes: some LangChain integrations wrap the
    client's error in their own.
    """
    found = (_of(one, (name,)) for one in _answers(error) for name in _STATUS)
    return next((int(value) for value in found if isinstance(value, int) and 100 <= value < 600), None)


def _answers(error: BaseException) -> Iterator[Any]:
    for one in _causes(error):
        yield one
        response = getattr(one, "response", None)
        # botocore's response is a dict.
        yield response.get("ResponseMetadata") if isinstance(response, Mapping) else response


def _of(answer: Any, names: Iterable[str]) -> Any:
    has = answer.get if isinstance(answer, Mapping) else partial(getattr, answer)
    return next(filter(None, (has(name, None) for name in names)), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    for _ in range(10):
        if found is None:
            return
        yield found
        found = found.__cause__


def _kinds(error: BaseException) -> set[tuple[str, str]]:
    return {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(error).__mro__}


def _seconds(given: str) -> float | None:
    try:
        return _bounded(float(given))
    except ValueError:
        pass
    try:
        # A date without a zone is taken as local time.
        return _bounded(parsedate_to_datetime(given).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _bounded(seconds: float) -> float | None:
    """Return a valid wait: 0 for a past moment, None for a number that is not finite."""
    return max(0.0, seconds) if math.isfinite(seconds) else None
