"""A migrated database of its own, a model of its own, and vectors whose neighbours are known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from sqlalchemy import create_engine, make_url, text

from rowspace import Database
from rowspace.migrations import upgrade

ROWS, DIMENSION = 2_000, 96


@pytest.fixture(scope="session")
def index_url(engine_url) -> Iterator[str]:
    """The URL of a migrated database that no other tests use."""
    admin = create_engine(engine_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text('CREATE DATABASE "rowspace_indexing"'))
    url = make_url(engine_url).set(database="rowspace_indexing")
    with Database.open(url) as database:
        upgrade(database.engine)
    yield url.render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text('DROP DATABASE "rowspace_indexing" WITH (FORCE)'))
    admin.dispose()


@pytest.fixture(scope="session")
def vectors() -> np.ndarray:
    """Unit vectors of shape (2000, 96), as embeddings of text are: of few true dimensions, in clusters."""
    random = np.random.default_rng(5)
    latent = random.standard_normal((60, 24))[random.integers(0, 60, ROWS)] + random.standard_normal((ROWS, 24))
    matrix = latent @ random.standard_normal((24, DIMENSION)) + 0.5 * random.standard_normal((ROWS, DIMENSION))
    return np.ascontiguousarray(matrix / np.linalg.norm(matrix, axis=1, keepdims=True), np.float32)
