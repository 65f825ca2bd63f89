"""The OpenAPI document of the contract, for frameworks that generate none. `tools/openapi.py` writes its file."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any

from rowspace.integrations.rest.bodies import JSON
from rowspace.integrations.rest.problems import MEDIA_TYPE
from rowspace.integrations.rest.settings import ServerSettings

__all__ = ["FILE", "description_text", "installed_version", "tidied"]

FILE = "openapi.json"

#: The schema that all problem responses refer to.
_SHARED = {"$ref": "#/components/schemas/Problem"}


def description_text(settings: ServerSettings) -> str:
    """Return the OpenAPI document of a server, as JSON.

    Args:
        settings: the server's; without metrics or keys, the document leaves these out.
    """
    document: dict[str, Any] = json.loads(files(__package__).joinpath(FILE).read_text("utf-8"))
    document["info"]["version"] = installed_version()
    if not settings.metrics:
        del document["paths"]["/metrics"]
    if not settings.api_keys:
        del document["components"]["securitySchemes"]
        for operations in document["paths"].values():
            for operation in operations.values():
                operation.pop("security", None)
    return json.dumps(document, ensure_ascii=False)


def tidied(document: dict[str, Any]) -> dict[str, Any]:
    """Return FastAPI's OpenAPI document with one schema for all problems, and without a default body."""
    schemas = document["components"]["schemas"]
    for operation in (one for operations in document["paths"].values() for one in operations.values()):
        for answer in operation["responses"].values():
            problem = answer.get("content", {}).get(MEDIA_TYPE)
            if problem is not None:
                schemas["Problem"], problem["schema"] = problem["schema"], _SHARED
        # The default is a placeholder for a streamed body.
        operation.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema", {}).pop("default", None)
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    return document


def installed_version() -> str:
    """Return the version of Rowspace, or 0 if it is not installed."""
    try:
        return version("rowspace")
    except PackageNotFoundError:
        return "0"
