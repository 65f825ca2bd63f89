"""Write the OpenAPI document of the REST contract into the package, or check that it is current.

    python tools/openapi.py [--check]

FastAPI generates it from the endpoints. Flask, which generates none, serves the file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rowspace.integrations import rest
from rowspace.integrations.fastapi import create_app
from rowspace.integrations.rest.description import FILE
from rowspace.integrations.rest.keys import ApiKey
from rowspace.integrations.rest.settings import ServerSettings

PATH = Path(rest.__file__).with_name(FILE)


def described() -> str:
    """Return the OpenAPI document of a server with keys and metrics."""
    settings = ServerSettings(embedder="none", api_keys=(ApiKey(sha256="0" * 64),), metrics=True, docs=True)
    document = create_app(settings).openapi()
    document["info"].pop("version")  # the version of the installed package
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the file, or check it."""
    fresh = described()
    if PATH.exists() and PATH.read_text("utf-8") == fresh:
        return
    if "--check" in sys.argv:
        sys.exit(f"openapi: {PATH.name} is stale; run: python tools/openapi.py")
    PATH.write_text(fresh, "utf-8")
    print(f"wrote {PATH.name}")


if __name__ == "__main__":
    main()
