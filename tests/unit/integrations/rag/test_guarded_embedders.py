from __future__ import annotations

import pytest

from rowspace.errors import ConfigurationError, ModelError, ModelUnavailable
from rowspace.integrations.rag.embedders import guarded
from rowspace.testing import HashingEmbedder

MADE = HashingEmbedder(4)


class Failing:
    model = "hosted-1"

    def __init__(self, error):
        self.error = error

    def embed_documents(self, texts):
        raise self.error

    def embed_query(self, text):
        raise self.error


async def test_the_errors_of_an_embedder_are_those_of_a_model():
    away, broken = guarded(Failing(ConnectionError("sk-secret"))), guarded(Failing(ValueError("sk-secret")))
    with pytest.raises(ModelUnavailable, match=r"^The embedder did not respond"):
        away.embed_query("a")
    with pytest.raises(ModelUnavailable):
        await away.aembed_query("a")
    with pytest.raises(ModelError, match="unreadable"):
        broken.embed_documents(["a"])
    with pytest.raises(ModelError):
        await broken.aembed_documents(["a"])
    assert away.name == "hosted-1"


async def test_one_that_works_is_as_it_was():
    one = guarded(MADE)
    assert one.name == MADE.name
    assert list(one.embed_query("a")) == list(MADE.embed_query("a")) == list(await one.aembed_query("a"))
    assert len(one.embed_documents(["a", "b"])) == len(await one.aembed_documents(["a", "b"])) == 2
    assert guarded(None) is None
    with pytest.raises(ConfigurationError, match="Expected an embedder with embed_documents"):
        guarded("local")
