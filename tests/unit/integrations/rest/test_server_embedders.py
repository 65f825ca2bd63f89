from __future__ import annotations

import pytest

from rowspace.errors import ConfigurationError
from rowspace.integrations.rest.embedders import embedder_of
from rowspace.testing import HashingEmbedder

MADE = HashingEmbedder(4)


@pytest.fixture(autouse=True)
def module(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "embedders_of_mine", sys.modules[__name__])


def test_one_is_named_or_made_or_none():
    assert embedder_of("none") is None
    assert embedder_of("embedders_of_mine:MADE") is MADE
    assert len(embedder_of("embedders_of_mine:make").embed_query("a")) == 3
    assert embedder_of("local").dimension == 512


def make():
    return HashingEmbedder(3)


@pytest.mark.parametrize("name", ["", "nowhere", "nowhere:at_all", "embedders_of_mine:nothing", ":x"])
def test_what_is_none_is_named(name):
    with pytest.raises(ConfigurationError, match=r"module:attribute|There is no embedder"):
        embedder_of(name)
