"""The description of the whole contract, against a fuzzer that knows nothing else of it."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings

from rowspace.integrations import fastapi, flask
from rowspace.integrations.rest.settings import ServerSettings
from rowspace.testing import HashingEmbedder


@contextmanager
def described_fastapi(options):
    from starlette.testclient import TestClient

    app = fastapi.create_app(options, embedder=HashingEmbedder(4))
    with TestClient(app):
        yield schemathesis.openapi.from_asgi("/openapi.json", app)


@contextmanager
def described_flask(options):
    app = flask.create_app(options, embedder=HashingEmbedder(4))
    yield schemathesis.openapi.from_wsgi("/openapi.json", app)
    app.extensions["rowspace"].close()


@pytest.fixture
def schema(framework, new_database):
    described = {"fastapi": described_fastapi, "flask": described_flask}[framework]
    with described(ServerSettings(database_url=new_database())) as found:
        yield found


def test_every_answer_is_as_described(schema):
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) == 14
    for operation in operations:

        @seed(1)
        @settings(
            max_examples=4,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def fuzz(case):
            case.call_and_validate()

        fuzz()
