"""Errors of models as Rowspace's own: unavailable with how long to wait, refused, or no answer."""

from __future__ import annotations

import datetime as dt
import json
from email.utils import format_datetime

import pytest

from rowspace.errors import ModelError, ModelUnavailable, StoreUnavailable
from rowspace.integrations.rag.failures import aguarded, guarded, model_errors


class HttpError(Exception):
    def __init__(self, status, headers=None):
        super().__init__("Incorrect API key provided: sk-secret")
        self.status_code = status
        self.response = type("Response", (), {"headers": headers or {}})()


def raised_from(cause):
    error = Exception("Error embedding content: sk-secret")
    error.__cause__ = cause
    return error


def test_an_error_of_an_integration_around_that_of_the_client():
    assert mapped(raised_from(HttpError(429, {"retry-after": "7"}))).retry_after == 7
    assert type(mapped(raised_from(HttpError(401)))) is ModelError
    with pytest.raises(ModelUnavailable), model_errors("embedder"):
        raise raised_from(ConnectionError())


class APITimeoutError(Exception):
    pass


def mapped(error):
    with pytest.raises(ModelError) as raised, model_errors("chat model"):
        raise error
    assert raised.value.__cause__ is error
    assert "sk-secret" not in str(raised.value)
    return raised.value


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 529])
def test_try_again_later(status):
    error = mapped(HttpError(status))
    assert isinstance(error, ModelUnavailable)
    assert f"HTTP {status}" in str(error)
    assert error.retry_after is None


def test_retry_after():
    error = mapped(HttpError(429, {"retry-after": "17"}))
    assert (error.retry_after, str(error).endswith("Try again in 17 s.")) == (17.0, True)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    assert 3_500 < mapped(HttpError(503, {"retry-after": format_datetime(later, usegmt=True)})).retry_after <= 3_600
    assert mapped(HttpError(429, {"retry-after": "soon"})).retry_after is None
    assert mapped(HttpError(429, {"retry-after": "-5"})).retry_after == 0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_refused(status):
    error = mapped(HttpError(status))
    assert not isinstance(error, ModelUnavailable)
    assert f"refused the request with HTTP {status}" in str(error)


@pytest.mark.parametrize("error", [APITimeoutError(), ConnectionResetError(), TimeoutError()], ids=repr)
def test_no_answer(error):
    assert isinstance(mapped(error), ModelUnavailable)


@pytest.mark.parametrize(
    "error", [json.JSONDecodeError("no", "<html>", 0), KeyError("choices"), TypeError("None"), HttpError(200)], ids=repr
)
def test_malformed(error):
    assert "unreadable response" in str(mapped(error))


@pytest.mark.parametrize("error", [StoreUnavailable("db"), RuntimeError("a bug"), ZeroDivisionError()], ids=repr)
def test_others_stay_what_they_are(error):
    with pytest.raises(type(error)) as raised, model_errors("chat model"):
        raise error
    assert raised.value is error


class Closing:
    def __init__(self):
        self.closed = False

    def numbers(self):
        try:
            yield 1
            raise HttpError(500)
        finally:
            self.closed = True

    async def anumbers(self):
        try:
            yield 1
            raise HttpError(500)
        finally:
            self.closed = True


async def test_only_the_errors_of_the_iterator_are_mapped():
    chunks = guarded(Closing().numbers(), "chat model")
    assert next(chunks) == 1
    with pytest.raises(ModelUnavailable):
        next(chunks)
    achunks = aguarded(Closing().anumbers(), "chat model")
    assert await anext(achunks) == 1
    with pytest.raises(ModelUnavailable):
        await anext(achunks)
    chunks = guarded(Closing().numbers(), "chat model")
    next(chunks)
    with pytest.raises(KeyError):
        chunks.throw(KeyError("the reader's"))


async def test_a_reader_that_leaves_closes_the_iterator():
    source = Closing()
    chunks = guarded(source.numbers(), "chat model")
    next(chunks)
    chunks.close()
    assert source.closed
    source = Closing()
    achunks = aguarded(source.anumbers(), "chat model")
    await anext(achunks)
    await achunks.aclose()
    assert source.closed
