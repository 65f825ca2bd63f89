"""Who may do what by a key."""

from __future__ import annotations

import hashlib
import hmac
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from rowspace.integrations.rest.errors import RequestFault
from rowspace.integrations.rest.keys import ApiKey, Keyring


def key(value, **rights):
    return ApiKey(sha256=hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest(), **rights)


KEYS = [key("reader", collections={"a"}), key("writer", collections={"a", "b"}, write=True), key("all", write=True)]


def may(bearer, collection, right):
    try:
        Keyring(KEYS).access(f"Bearer {bearer}").check(collection, right)
    except RequestFault as fault:
        return {403: False}[fault.status]
    return True


@pytest.mark.parametrize(
    ("bearer", "collection", "read", "write"),
    [
        ("reader", "a", True, False),
        ("reader", "b", False, False),
        ("writer", "b", True, True),
        ("writer", "c", False, False),
        ("all", "c", True, True),
    ],
)
def test_rights(bearer, collection, read, write):
    assert (may(bearer, collection, "read"), may(bearer, collection, "write")) == (read, write)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic reader", "reader", "Bearer wrong"])
def test_no_key_or_an_unknown_one(header):
    with pytest.raises(RequestFault) as raised:
        Keyring(KEYS).access(header)
    assert raised.value.status == 401
    assert raised.value.headers["WWW-Authenticate"].startswith("Bearer")
    assert "reader" not in str(raised.value)


def test_no_key_is_none_even_where_somebody_has_made_the_digest_of_nothing():
    with pytest.raises(RequestFault, match="requires an API key"):
        Keyring([key("")]).access("Bearer ")


@pytest.mark.parametrize("header", ["Bearer reader", "bearer reader", "BEARER  reader "])
def test_how_a_key_is_sent(header):
    assert Keyring(KEYS).access(header).sees("a")


def test_each_key_is_compared_in_constant_time(monkeypatch):
    """Not the time is looked at, which says nothing on a busy machine, but what compares."""
    compared = []

    def compare(known, given):
        compared.append(known)
        return hmac.compare_digest(known, given)

    monkeypatch.setattr("rowspace.integrations.rest.keys.hmac", SimpleNamespace(compare_digest=compare))
    assert Keyring(KEYS).access("Bearer reader").sees("a")
    assert compared == [bytes.fromhex(one.sha256) for one in KEYS]


@pytest.mark.parametrize("value", ["schl\u00fcssel", "钥匙", "k\udcff"])
def test_any_bytes_are_a_key(value):
    """As a server hands them over: a character a byte."""
    sent = f"Bearer {value}".encode("utf-8", "surrogateescape").decode("latin-1")
    assert Keyring([key(value)]).access(sent).sees("a")


def test_without_keys_everybody_may_do_everything():
    Keyring([]).access(None).check("a", "write")


@pytest.mark.parametrize(
    "fields", [{"sha256": "reader"}, {"sha256": "A" * 64}, {"sha256": "0" * 64, "collection": ["a"]}], ids=str
)
def test_a_key_that_cannot_be(fields):
    with pytest.raises(ValidationError):
        ApiKey(**fields)
