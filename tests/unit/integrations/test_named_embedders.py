"""Embedders by a name, as the command line, servers and pages are configured."""

from __future__ import annotations

import sys

import pytest

from rowspace.errors import ConfigurationError
from rowspace.integrations._embedders import embedder_of, embedder_or_none
from rowspace.testing import HashingEmbedder

MADE = HashingEmbedder(4)


def make():
    return HashingEmbedder(3)


@pytest.fixture(autouse=True)
def module(monkeypatch):
    monkeypatch.setitem(sys.modules, "embedders_of_mine", sys.modules[__name__])


def test_one_is_named_or_made_or_none():
    assert embedder_or_none("none") is None
    assert embedder_or_none("embedders_of_mine:MADE") is embedder_of("embedders_of_mine:MADE") is MADE
    assert len(embedder_of("embedders_of_mine:make").embed_query("a")) == 3
    assert embedder_of("rowspace.testing:HashingEmbedder").dimension == 64
    assert (embedder_of("local").name, embedder_of("local").dimension) == ("use-multilingual-v3", 512)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "Expected `local` or module:attribute as the embedder"),
        ("nowhere", "Expected `local` or module:attribute as the embedder"),
        (":x", "Expected `local` or module:attribute as the embedder"),
        ("nowhere:x", r"There is no embedder 'nowhere:x': No module named 'nowhere'\."),
        ("embedders_of_mine:nothing", "There is no embedder 'embedders_of_mine:nothing'"),
        ("json:JSONEncoder", r"'json:JSONEncoder' is not an embedder: a JSONEncoder has no method embed_documents\."),
        ("json:dumps", r"'json:dumps' cannot be called without arguments: missing a required argument: 'obj'\."),
        ("math:pi", r"'math:pi' is not an embedder: a float has no method embed_documents\."),
    ],
)
def test_what_is_none_is_named(name, message):
    with pytest.raises(ConfigurationError, match=message):
        embedder_of(name)
