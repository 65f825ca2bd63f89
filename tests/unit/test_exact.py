from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, strategies as st

from rowspace import exact
from rowspace.errors import ConfigurationError, DimensionMismatch, InvalidVector
from rowspace.exact import exact_nearest, recall_of

RNG = np.random.default_rng(11)

BRUTE_FORCE = {
    "cosine": lambda a, b: 1 - a @ b / (np.linalg.norm(a) * np.linalg.norm(b)),
    "l2": lambda a, b: np.linalg.norm(a - b),
    "inner_product": lambda a, b: -(a @ b),
    "ip": lambda a, b: -(a @ b),
    "l1": lambda a, b: np.abs(a - b).sum(),
}


@pytest.mark.parametrize("distance", BRUTE_FORCE)
@pytest.mark.parametrize("rows", [3, 10, 11, 95])
def test_it_is_what_brute_force_finds_whatever_the_blocks(distance, rows, monkeypatch):
    monkeypatch.setattr(exact, "_ROWS", 10)
    monkeypatch.setattr(exact, "_AT_ONCE", 30)
    matrix = RNG.normal(size=(rows, 7)).astype(np.float32)
    queries = RNG.normal(size=(8, 7)).astype(np.float32)
    indices, distances = exact_nearest(matrix, queries, 5, distance=distance)
    assert (indices.dtype, distances.dtype) == (np.intp, np.float32)
    assert indices.shape == distances.shape == (8, min(5, rows))
    for query, found, measured in zip(queries.astype(float), indices, distances, strict=True):
        all_of_them = np.array([BRUTE_FORCE[distance](query, row) for row in matrix.astype(float)])
        assert found.tolist() == np.argsort(all_of_them)[:5].tolist()
        assert measured == pytest.approx(all_of_them[found], rel=1e-6, abs=1e-7)


@given(st.lists(st.sampled_from([0, 1, 2]), min_size=1, max_size=40), st.integers(1, 45))
def test_of_equals_the_first_row_comes_first(kinds, k):
    three = np.array([[0.1, 0.7], [0.3, 0.9], [0.7, -0.2]], np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "_ROWS", 6)
        indices, distances = exact_nearest(three[kinds], three[0], k, distance="l2")
    order = np.argsort(np.linalg.norm(three - three[0], axis=1)[kinds], kind="stable")[:k]
    assert indices[0].tolist() == order.tolist()
    assert [d == 0 for d in distances[0]] == [kinds[i] == 0 for i in order]


def test_zeros_have_no_cosine_and_come_last():
    indices, distances = exact_nearest([[0, 0], [1, 0], [0, 0], [0, 1]], [0, 1], 4)
    assert indices.tolist() == [[3, 1, 0, 2]]
    assert distances[0, :2].tolist() == [0, 1]
    assert np.isnan(distances[0, 2:]).all()


def test_nothing_to_search():
    indices, distances = exact_nearest(np.empty((0, 3)), np.ones((2, 3)), 4)
    assert indices.shape == distances.shape == (2, 0)
    assert exact_nearest(np.ones((5, 3)), np.empty((0, 3)), 4)[0].shape == (0, 4)


def test_memory_does_not_grow_with_rows_times_queries():
    matrix = RNG.normal(size=(30_000, 8)).astype(np.float32)
    tracemalloc.start()
    exact_nearest(matrix, matrix[:2_000], 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # All the distances at once would be 480 MB.
    assert peak < 200e6


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"queries": [1, 2, 3]}, DimensionMismatch, "Expected 2 dimensions, got 3"),
        ({"queries": [np.nan, 2]}, InvalidVector, "NaN"),
        ({"queries": [1, 2], "k": 0}, ConfigurationError, "at least 1, got 0"),
        ({"queries": [1, 2], "k": 1.5}, ConfigurationError, "at least 1, got 1.5"),
        ({"queries": [1, 2], "k": "2"}, ConfigurationError, "at least 1, got '2'"),
        (
            {"queries": [1, 2], "distance": "hamming"},
            ConfigurationError,
            "one of cosine, l2, inner_product, l1, got 'ham",
        ),
        ({"queries": [1, 2], "distance": "nearness"}, ConfigurationError, "one of l2, cosine"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        exact_nearest(np.ones((4, 2)), **arguments)


def test_recall():
    assert recall_of([["a", "b"], ["c"]], [["b", "a"], ["d"]]) == 2 / 3
    assert recall_of([[]], [[]]) == 1
