"""Results, as a prompt shows them."""

from __future__ import annotations

import numpy as np
import pytest

from rowspace.projection import Axes
from rowspace.results import Distances, Graph, Matrix, Projection

ROWS = 10_000
KEYS = [f"a long key of row {row}" for row in range(ROWS)]
POINTS = np.zeros((ROWS, 2), np.float32)
AXES = Axes(POINTS[0], POINTS[:2], np.ones(2, np.float32))


@pytest.mark.parametrize(
    "result",
    [
        Matrix(KEYS, POINTS),
        Distances(KEYS, POINTS[:, 0].astype(np.float64)),
        Graph(KEYS, np.arange(ROWS), np.arange(ROWS), POINTS[:, 0]),
        Projection(KEYS, POINTS, AXES),
    ],
    ids=lambda result: type(result).__name__,
)
def test_what_is_shown_of_many_rows_is_short(result):
    assert len(repr(result)) < 1_000
