"""Embedding by concurrent requests to a server that is slow, overloaded, or gone for a while."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import numpy as np
import psycopg
import pytest

from rowspace.errors import ConfigurationError, DimensionMismatch
from rowspace.integrations.embedding import ConcurrentEmbedder, Retry
from rowspace.integrations.retrying import is_transient, retry_after
from rowspace.testing import HashingEmbedder

TEXTS = [f"text {at}" for at in range(40)]
EXPECTED = np.float32(HashingEmbedder(8).embed_documents(TEXTS))


class Hosted:
    """An embedder by HTTP, as an integration for LangChain is one."""

    name = "hosted"

    def __init__(self, url):
        self.url = url
        self.requests = []

    def embed_documents(self, texts):
        self.requests.append(texts)
        answer = httpx.post(self.url, json=texts, trust_env=False)
        answer.raise_for_status()
        return answer.json()

    async def aembed_documents(self, texts):
        self.requests.append(texts)
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(self.url, json=texts)
        answer.raise_for_status()
        return answer.json()

    def embed_query(self, text):
        return self.embed_documents([text])[0]

    async def aembed_query(self, text):
        return (await self.aembed_documents([text]))[0]


@contextmanager
def server(*troubles):
    """Run a server whose first answers are troubles: a status, or a status and a header Retry-After."""
    left = list(troubles)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            texts = json.loads(self.rfile.read(int(self.headers["content-length"])))
            trouble = left.pop(0) if left else (200, None)
            body = json.dumps(HashingEmbedder(8).embed_documents(texts)).encode()
            self.send_response(trouble[0])
            if trouble[1] is not None:
                self.send_header("Retry-After", trouble[1])
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}"
        finally:
            running.shutdown()
            thread.join()


class Over:
    """What is over at once, whether or not it is awaited."""

    def __await__(self):
        return iter(())


@pytest.fixture
def waits(monkeypatch):
    """What would have been waited."""
    seconds, options = [], Retry.options

    def wait(given):
        seconds.append(given)
        return Over()

    monkeypatch.setattr(Retry, "options", lambda retry, tenacity: {**options(retry, tenacity), "sleep": wait})
    return seconds


def wrapped(url, **options):
    return ConcurrentEmbedder(Hosted(url), **options)


@pytest.fixture(params=["sync", "async"])
def embed(request):
    """A function that embeds texts by either way."""
    if request.param == "sync":
        return lambda embedder, texts: embedder.embed_documents(texts)
    return lambda embedder, texts: asyncio.run(embedder.aembed_documents(texts))


def test_vectors_come_in_order_whatever_fails_in_passing(embed, waits):
    with server((503, None), (429, "7"), (500, None), (502, None)) as url:
        embedder = wrapped(url, chunk_size=6, limit=3)
        np.testing.assert_array_equal(embed(embedder, TEXTS), EXPECTED)
        assert embedder.name == "hosted"
    assert len(waits) == 4
    assert sum(7 <= one <= 7.7 for one in waits) >= 1


def test_an_error_that_stays_is_raised_while_others_wait_to_try_again(embed):
    with server((429, "30"), (401, None), (429, "30")) as url:
        hosted = Hosted(url)
        with pytest.raises(httpx.HTTPStatusError, match="401"):
            embed(ConcurrentEmbedder(hosted, limit=3, chunk_size=1), TEXTS[:3])
        for thread in threading.enumerate():
            if thread.name.startswith("rowspace-embed"):
                thread.join()
        # Nobody has tried again, or does.
        assert len(hosted.requests) <= 3


def test_the_longest_wait_may_be_none_at_all(embed, waits):
    with server((503, None)) as url:
        embed(wrapped(url, retry=Retry(longest=0)), TEXTS[:2])
    assert waits == [0]


def test_retry_after_may_be_a_date(embed, waits):
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    with server((429, moment)) as url:
        embed(wrapped(url), TEXTS[:2])
    assert 20 < waits[0] <= 33


def test_a_wait_grows_at_random_until_it_is_given_up(embed, waits):
    with server(*[(503, None)] * 20) as url, pytest.raises(httpx.HTTPStatusError, match="503"):
        embed(wrapped(url, retry=Retry(attempts=5, first=1, longest=4)), TEXTS[:2])
    assert len(waits) == 4
    assert all(0 <= one <= most for one, most in zip(waits, (1, 2, 4, 4), strict=True))
    assert len(set(waits)) == 4


@pytest.mark.parametrize("trouble", [(400, None), (401, None), (404, None), (429, "3600")])
def test_what_does_not_pass_is_raised_at_once(embed, waits, trouble):
    with server(trouble) as url, pytest.raises(httpx.HTTPStatusError, match=str(trouble[0])):
        embed(wrapped(url), TEXTS[:2])
    assert waits == []


def test_no_answer_at_all_is_tried_again(embed, waits):
    with server() as url:
        pass
    with pytest.raises(httpx.ConnectError):
        embed(wrapped(url, retry=Retry(attempts=3)), TEXTS[:2])
    assert len(waits) == 2


class Counted(HashingEmbedder):
    """Counts the calls at the same time; each waits for as many as are allowed, and for a while for one more."""

    def __init__(self, limit):
        super().__init__(8)
        self.now = self.most = 0
        self._limit, self._lock = limit, threading.Lock()
        self._full, self._beyond = threading.Barrier(limit), threading.Event()

    def embed_documents(self, texts):
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            if self.now > self._limit:
                self._beyond.set()
        self._full.wait(30)
        self._beyond.wait(0.2)
        with self._lock:
            self.now -= 1
        return super().embed_documents(texts)


def test_the_limit_is_reached_and_kept(embed):
    inside = Counted(4)
    vectors = embed(ConcurrentEmbedder(inside, limit=4, chunk_size=5), TEXTS)
    np.testing.assert_array_equal(vectors, EXPECTED)
    assert inside.most == 4


def test_callers_at_the_same_time_share_the_limit():
    inside = Counted(4)
    embedder = ConcurrentEmbedder(inside, limit=4, chunk_size=5)
    with ThreadPoolExecutor(2) as pool:
        for vectors in pool.map(embedder.embed_documents, [TEXTS, TEXTS]):
            np.testing.assert_array_equal(vectors, EXPECTED)
    assert inside.most == 4


def test_answers_of_several_dimensions_are_refused(embed):
    class Fickle(HashingEmbedder):
        def embed_documents(self, texts):
            return np.ones((len(texts), 3 if "text 39" in texts else 4))

    with pytest.raises(DimensionMismatch, match="returned vectors of 3 and of 4 dimensions"):
        embed(ConcurrentEmbedder(Fickle(8), chunk_size=10), TEXTS)


def test_a_server_that_is_away_is_not_asked_for_all_texts(embed):
    asked = []

    class Away(HashingEmbedder):
        def embed_documents(self, texts):
            asked.append(texts)
            message = "away"
            raise httpx.ConnectError(message)

        async def aembed_documents(self, texts):
            return self.embed_documents(texts)

    embedder = ConcurrentEmbedder(Away(8), limit=2, chunk_size=1, retry=Retry(attempts=3, first=0.01))
    with pytest.raises(httpx.ConnectError):
        embed(embedder, TEXTS)
    # Three times for each of two texts, and for one that began before the others were called off.
    assert len(asked) < len(TEXTS) / 2


def test_an_error_does_not_wait_for_requests_under_way():
    released, under_way, ended = threading.Event(), threading.Event(), threading.Event()

    class Slow(HashingEmbedder):
        def embed_documents(self, texts):
            if texts == ["wrong"]:
                under_way.wait(30)
                raise ValueError
            under_way.set()
            released.wait(30)
            ended.set()
            return super().embed_documents(texts)

    with pytest.raises(ValueError):  # noqa: PT011 -- it says nothing
        ConcurrentEmbedder(Slow(8), chunk_size=1).embed_documents(["right", "wrong"])
    assert not ended.is_set()
    released.set()


async def test_what_is_under_way_has_ended_when_an_error_is_raised():
    ended = []

    class Slow(HashingEmbedder):
        async def aembed_documents(self, texts):
            if texts == ["wrong"]:
                raise ValueError
            try:
                await asyncio.sleep(30)
            finally:
                await asyncio.sleep(0.01)
                ended.extend(texts)

    with pytest.raises(ValueError):  # noqa: PT011 -- it says nothing
        await ConcurrentEmbedder(Slow(8), chunk_size=1).aembed_documents(["one", "wrong", "two"])
    assert ended == ["one", "two"]


def test_a_query_and_nothing(waits):
    with server((503, None), (503, None)) as url:
        embedder = wrapped(url)
        assert embedder.embed_query("text 1").tolist() == EXPECTED[1].tolist()
        assert asyncio.run(embedder.aembed_query("text 2")).tolist() == EXPECTED[2].tolist()
        assert embedder.embed_documents([]).shape == asyncio.run(embedder.aembed_documents([])).shape == (0, 0)
    assert len(waits) == 2


class Failed(Exception):
    def __init__(self, **attributes):
        super().__init__("failed")
        self.__dict__.update(attributes)


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (Failed(status_code=429), True),
        (Failed(status=503), True),
        *((Failed(status_code=status), True) for status in (408, 425, 500, 502, 504)),
        (Failed(response=httpx.Response(529)), True),
        (Failed(status_code=400), False),
        (Failed(response=httpx.Response(401)), False),
        (caused(Failed(status_code=401), TimeoutError()), False),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (caused(Failed(), httpx.ReadTimeout("slow")), True),
        (ValueError("a bug"), False),
        # Of the database, which a request that is sent again asks for the same.
        (psycopg.errors.QueryCanceled("canceling statement due to statement timeout"), False),
        (Failed(response=None), False),
        # As langchain-google-genai has it, and boto3.
        (caused(Failed(), Failed(code=429)), True),
        (caused(Failed(), Failed(code=403)), False),
        (Failed(response={"ResponseMetadata": {"HTTPStatusCode": 429}}), True),
        (Failed(code=1006), False),
    ],
)
def test_which_errors_pass(error, passes):
    assert is_transient(error) is passes


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_how_long_a_server_asks_to_wait(headers, seconds):
    assert retry_after(Failed(response=httpx.Response(429, headers=headers))) == seconds
    assert retry_after(Failed()) is None
    assert retry_after(caused(Failed(), Failed(response=httpx.Response(429, headers=headers)))) == seconds
    assert retry_after(Failed(response={"ResponseMetadata": {"HTTPHeaders": headers}})) == seconds


@pytest.mark.parametrize(
    "options",
    [{"attempts": 0}, {"attempts": "3"}, {"first": -1}, {"longest": float("nan")}, {"longest": "60"}],
    ids=str,
)
def test_a_retry_that_cannot_be(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Retry(**options)


def test_a_limit_that_cannot_be():
    with pytest.raises(ConfigurationError, match="the class HashingEmbedder"):
        ConcurrentEmbedder(HashingEmbedder)
    with pytest.raises(ConfigurationError, match="limit must be a whole number of at least 1, got 0"):
        ConcurrentEmbedder(HashingEmbedder(), limit=0)
