from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from flask import Flask

from rowspace.integrations.flask import Rowspace
from rowspace.testing import HashingEmbedder


@pytest.fixture(scope="session")
def flask_url(new_shared_database: Callable[..., str]) -> str:
    return new_shared_database()


@pytest.fixture
def make_app(flask_url: str) -> Iterator[Callable[..., Flask]]:
    """A factory of applications on one database; what an extension opened is closed after the test."""
    with ExitStack() as stack:

        def made(rowspace: Rowspace | None = None, **config: Any) -> Flask:
            app = Flask("tested")
            app.config.update(ROWSPACE_DATABASE_URL=flask_url, ROWSPACE_EMBEDDER="none")
            app.config.update(config)
            (rowspace or Rowspace(embedder=HashingEmbedder(16))).init_app(app)
            stack.callback(app.extensions["rowspace"].close)
            return app

        yield made
