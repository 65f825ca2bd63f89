"""The arithmetic of recommendations and of maximal marginal relevance, against plain definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st
from pgvector import SparseVector

from rowspace.distance import Distance
from rowspace.ranking import average_query, mmr, similarities

DENSE = [Distance.L2, Distance.COSINE, Distance.INNER_PRODUCT, Distance.L1]

seeds = st.integers(0, 2**32 - 1)


def similarity(distance: Distance, a, b) -> float:
    """Return the similarity of two vectors by pgvector's definitions, number by number."""
    pairs = list(zip(a, b, strict=True))
    dot = sum(x * y for x, y in pairs)
    both, either = sum(x and y for x, y in pairs), sum(x or y for x, y in pairs)
    lengths = math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))
    return {
        Distance.L2: lambda: 1 / (1 + math.sqrt(sum((x - y) ** 2 for x, y in pairs))),
        Distance.L1: lambda: 1 / (1 + sum(abs(x - y) for x, y in pairs)),
        Distance.INNER_PRODUCT: lambda: dot,
        Distance.COSINE: lambda: dot / lengths,
        Distance.HAMMING: lambda: 1 / (1 + sum(x != y for x, y in pairs)),
        Distance.JACCARD: lambda: both / either if both else 0.0,
    }[distance]()


def reference(relevance, rows, k, distance, lambda_mult):
    """Return the definition, one pair at a time, and for each step by how much the choice was the best."""
    chosen: list[int] = []
    margins = []
    while len(chosen) < min(k, len(rows)):
        scores = {}
        for index, row in enumerate(rows):
            if index in chosen:
                continue
            scores[index] = relevance[index]
            if chosen:
                redundancy = max(similarity(distance, row, rows[other]) for other in chosen)
                scores[index] = lambda_mult * relevance[index] - (1 - lambda_mult) * redundancy
        best = max(scores, key=scores.__getitem__)
        margins.append(min((scores[best] - score for index, score in scores.items() if index != best), default=1))
        chosen.append(best)
    return chosen, margins


@settings(max_examples=60)
@given(seeds, st.sampled_from(list(Distance)), st.integers(1, 9), st.integers(1, 12), st.floats(0, 1))
def test_mmr_is_its_definition(seed, distance, m, k, lambda_mult):
    rng = np.random.default_rng(seed)
    rows = rng.random((m, 6)) < 0.5 if distance.for_bits else rng.normal(size=(m, 6))
    relevance = rng.normal(size=m).tolist()
    wanted, margins = reference(relevance, rows.tolist(), k, distance, lambda_mult)
    chosen = mmr(relevance, rows, k, distance=distance, lambda_mult=lambda_mult)
    # Up to the first choice that is a matter of rounding.
    clear = next((step for step, margin in enumerate(margins) if margin < 1e-9), len(wanted))
    assert chosen[:clear] == wanted[:clear]
    assert len(chosen) == len(set(chosen)) == min(k, m)


def test_a_vector_of_zeros_comes_last_by_mmr():
    rows = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    assert mmr([math.nan, 0.9, 0.8], rows, 3, distance=Distance.COSINE, lambda_mult=0.9) == [1, 2, 0]


def test_mmr_for_relevance_alone_keeps_the_order():
    rows = np.eye(4)
    assert mmr([0.9, 0.8, 0.7, 0.6], rows, 4, distance=Distance.COSINE, lambda_mult=1) == [0, 1, 2, 3]


def test_mmr_passes_over_a_double():
    rows = [[1, 0], [1, 0], [0, 1]]
    assert mmr([0.9, 0.9, 0.5], rows, 2, distance=Distance.COSINE) == [0, 2]


def test_mmr_of_nothing_is_nothing():
    assert mmr([], [], 3, distance=Distance.L2) == []


@pytest.mark.parametrize("distance", list(Distance))
def test_similarities_are_those_of_pgvector(distance):
    rng = np.random.default_rng(1)
    rows = (rng.random((8, 5)) < 0.5) * 1.0 if distance.for_bits else rng.normal(size=(8, 5))
    found = similarities(rows[0], rows, distance=distance)
    assert found == pytest.approx([similarity(distance, rows[0], row) for row in rows])


@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.JACCARD])
def test_a_vector_of_zeros_is_like_nothing(distance):
    assert similarities(np.zeros(3), np.eye(3), distance=distance).tolist() == [0, 0, 0]


@pytest.mark.parametrize("distance", [Distance.L2, Distance.INNER_PRODUCT, Distance.L1])
def test_the_average_goes_from_the_negative_through_the_positive(distance):
    query = average_query([[1, 0], [3, 0]], [[0, 4]], distance=distance)
    assert query.tolist() == [4, -4]


def test_the_average_for_cosine_is_of_directions():
    query = average_query([[30, 40], [0, 0.1]], distance=Distance.COSINE)
    assert query == pytest.approx([0.3, 0.9])
    assert average_query([[3, 4], [0, 0]], distance=Distance.COSINE) == pytest.approx([0.3, 0.4])


@given(seeds, st.integers(1, 4), st.integers(0, 4))
def test_the_average_is_the_formula(seed, positives, negatives):
    rng = np.random.default_rng(seed)
    positive, negative = rng.normal(size=(positives, 3)), rng.normal(size=(negatives, 3))
    mean = positive.sum(axis=0) / positives
    wanted = mean + mean - negative.sum(axis=0) / negatives if negatives else mean
    assert average_query(positive, negative, distance=Distance.L2) == pytest.approx(wanted)


def test_the_average_of_sparse_vectors():
    query = average_query([SparseVector({0: 2.0}, 3), SparseVector({2: 4.0}, 3)], distance=Distance.L2)
    assert query.tolist() == [1, 0, 2]


@pytest.mark.parametrize("distance", list(Distance))
@pytest.mark.parametrize("value", [0.25, 0.5, 1.0])
def test_distance_at_is_the_inverse_of_similarity(distance, value):
    assert distance.similarity(distance.distance_at(value)) == pytest.approx(value)


@pytest.mark.parametrize("distance", [Distance.L2, Distance.L1, Distance.HAMMING])
@given(st.floats(0, 1e300))
@example(0.7345)
@example(48.0)
def test_a_row_is_within_the_limit_of_its_own_similarity(distance, value):
    similarity = distance.similarity(value)
    limit = distance.distance_at(similarity)
    assert limit >= value
    assert distance.similarity(limit) == pytest.approx(similarity, rel=1e-15)


@pytest.mark.parametrize("distance", [Distance.L2, Distance.L1, Distance.HAMMING])
@pytest.mark.parametrize("value", [0, -1])
def test_every_distance_is_more_similar_than_zero(distance, value):
    assert distance.distance_at(value) == math.inf
