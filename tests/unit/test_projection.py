from __future__ import annotations

import numpy as np
import pytest

from rowspace.errors import ConfigurationError, DimensionMismatch, InvalidVector
from rowspace.projection import Covariance, principal_axes

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("components", [0, 4, 1.5, "x", True, None])
def test_components_that_cannot_be(components):
    with pytest.raises(ConfigurationError, match="components must be a whole number from 1 to 3, got"):
        principal_axes([np.eye(3)], components)


@pytest.mark.parametrize("offset", [0, 1_000])
@pytest.mark.parametrize("size", [7, 100, 1_000])
def test_it_is_the_singular_value_decomposition_whatever_the_blocks(offset, size):
    rows = (RNG.normal(size=(500, 6)) * [9, 5, 2, 1, 1, 1] + offset).astype(np.float32)
    axes = principal_axes((rows[at : at + size] for at in range(0, 500, size)), 2)
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    _, values, directions = np.linalg.svd(centred, full_matrices=False)
    assert np.abs(axes.directions @ directions[:2].T) == pytest.approx(np.eye(2), abs=1e-4)
    assert axes.explained == pytest.approx((values**2 / (values**2).sum())[:2], rel=1e-4)
    points = axes.transform(rows)
    assert points.dtype == np.float32
    assert points == pytest.approx(centred @ axes.directions.T, abs=2e-3)
    assert axes.transform(rows[3]) == pytest.approx(points[3], abs=1e-3)


def test_the_directions_do_not_turn_round():
    rows = RNG.normal(size=(50, 4))
    for block in (rows, rows[::-1], -rows):
        directions = principal_axes([block], 3).directions
        assert (np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], 1) > 0).all()


def test_rows_that_are_all_the_same():
    axes = principal_axes([np.ones((5, 3))])
    assert axes.explained.tolist() == [0, 0]
    assert axes.transform(np.ones((2, 3))).tolist() == [[0, 0], [0, 0]]


def test_what_cannot_be_projected():
    with pytest.raises(InvalidVector, match="no row"):
        principal_axes([np.empty((0, 3))])
    with pytest.raises(ConfigurationError, match="from 1 to 3, got 4"):
        principal_axes([np.ones((2, 3))], 4)
    covariance = Covariance()
    covariance.add(np.ones((2, 3)))
    with pytest.raises(DimensionMismatch, match="Expected 3"):
        covariance.add(np.ones((2, 4)))
