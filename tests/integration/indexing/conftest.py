"""A migrated database of its own, and vectors whose neighbours are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

ROWS, DIMENSION = 2_000, 96


@pytest.fixture(scope="session")
def index_url(new_shared_database: Callable[[], str]) -> str:
    """The URL of a migrated database that no other tests use: builds are not rolled back."""
    return new_shared_database()


@pytest.fixture(scope="session")
def vectors() -> np.ndarray:
    """Unit vectors of shape (2000, 96), as embeddings of text are: of few true dimensions, in clusters."""
    random = np.random.default_rng(5)
    latent = random.standard_normal((60, 24))[random.integers(0, 60, ROWS)] + random.standard_normal((ROWS, 24))
    matrix = latent @ random.standard_normal((24, DIMENSION)) + 0.5 * random.standard_normal((ROWS, DIMENSION))
    return np.ascontiguousarray(matrix / np.linalg.norm(matrix, axis=1, keepdims=True), np.float32)
