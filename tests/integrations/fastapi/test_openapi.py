"""The description of the whole contract, against a fuzzer that knows nothing else of it."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from starlette.testclient import TestClient

from rowspace.integrations.fastapi import create_app
from rowspace.integrations.rest.settings import ServerSettings
from rowspace.testing import HashingEmbedder


@pytest.fixture(scope="module")
def schema(new_database):
    app = create_app(ServerSettings(database_url=new_database()), embedder=HashingEmbedder(4))
    with TestClient(app):
        yield schemathesis.openapi.from_asgi("/openapi.json", app)


def test_every_answer_is_as_described(schema):
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) == 14
    for operation in operations:

        @seed(1)
        @settings(
            max_examples=4,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def fuzz(case):
            case.call_and_validate()

        fuzz()
