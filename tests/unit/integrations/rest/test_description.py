"""What Flask says of the contract is what FastAPI says of it."""

from __future__ import annotations

import json
from urllib.parse import urljoin

import pytest

from rowspace.integrations.fastapi import create_app
from rowspace.integrations.rest.description import description_text
from rowspace.integrations.rest.keys import ApiKey
from rowspace.integrations.rest.settings import ServerSettings

KEYS = (ApiKey(sha256="0" * 64),)


def outline(document):
    """Return what clients depend on; how a schema is written is a matter of FastAPI's version."""
    operations = {
        (method, path): (
            operation["operationId"],
            operation.get("security"),
            [parameter["name"] for parameter in operation.get("parameters", [])],
            {kind: content.get("examples") for kind, content in content_of(operation.get("requestBody", {})).items()},
            {status: sorted(content_of(answer)) for status, answer in operation["responses"].items()},
        )
        for path, found in document["paths"].items()
        for method, operation in found.items()
    }
    schemas = {
        name: (sorted(schema.get("properties", {})), sorted(schema.get("required", [])))
        for name, schema in document["components"]["schemas"].items()
    }
    return operations, schemas, document["components"].get("securitySchemes"), document["info"], document["tags"]


def content_of(part):
    return part.get("content", {})


@pytest.mark.parametrize("options", [{}, {"metrics": False}, {"api_keys": KEYS}], ids=str)
def test_both_say_the_same(options):
    settings = ServerSettings(embedder="none", **options)
    assert outline(json.loads(description_text(settings))) == outline(create_app(settings).openapi())


def test_the_endpoints_are_beside_the_description_whatever_a_proxy_takes_off():
    settings = ServerSettings(embedder="none")
    for document in (json.loads(description_text(settings)), create_app(settings).openapi()):
        [server] = document["servers"]
        for before in ("", "/vectors", "/a/b"):
            # As Swagger UI has it, which takes the slash at the end off.
            assert urljoin(f"https://h{before}/openapi.json", server["url"]).rstrip("/") == f"https://h{before}"


def test_problems_have_one_schema():
    document = json.loads(description_text(ServerSettings()))
    found = {
        json.dumps(content["schema"])
        for operations in document["paths"].values()
        for operation in operations.values()
        for answer in operation["responses"].values()
        for kind, content in content_of(answer).items()
        if "problem" in kind
    }
    assert found == {'{"$ref": "#/components/schemas/Problem"}'}
    assert "request_id" in document["components"]["schemas"]["Problem"]["required"]
