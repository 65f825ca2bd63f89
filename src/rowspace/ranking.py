"""Arithmetic on vectors: the query of a recommendation, and a diverse selection.

Pure NumPy, in float64; nothing here knows the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rowspace.distance import Distance

__all__ = ["average_query", "farness", "mmr", "similarities"]

Float64 = NDArray[np.float64]


def farness(distance: float) -> float:
    """Return the sort key of a distance: infinity instead of NaN, which is the cosine distance to a vector of zeros."""
    return inf if isnan(distance) else distance


def average_query(positive: Sequence[Any], negative: Sequence[Any] = (), *, distance: Distance) -> Float64:
    """Return `mean(positive) + (mean(positive) - mean(negative))`, or `mean(positive)` without negative vectors.

    For cosine distance, each vector is first scaled to unit length, because its length has no meaning there.
    The formula is the strategy `average_vector` of Qdrant's recommendation API, which also stores the vectors of a
    cosine collection scaled to length one.

    Args:
        positive: one or more vectors of shape (n,).
        negative: any number of vectors of shape (n,).
        distance: the distance that the search orders by.
    """
    middle = _mean(positive, distance)
    return middle if not len(negative) else middle + (middle - _mean(negative, distance))


def mmr(
    relevance: Sequence[float], embeddings: Sequence[Any], k: int, *, distance: Distance, lambda_mult: float = 0.5
) -> list[int]:
    """Return k positions by maximal marginal relevance, in the order of selection.

    The first is the most relevant one. Each next one maximizes
    `lambda_mult * relevance - (1 - lambda_mult) * (largest similarity to one already selected)`; of equals, the first
    is selected.
    Carbonell and Goldstein, "The Use of MMR", SIGIR 1998. Costs k times m similarities.

    Args:
        relevance: the similarity of each of m candidates to the query.
        embeddings: their vectors, each of shape (n,).
        k: number of positions to select; all if there are fewer.
        distance: the distance that defines the similarity.
        lambda_mult: from 1 (only relevance counts) to 0 (only diversity counts).
    """
    if not len(relevance):
        return []
    # The cosine similarity to a vector of zeros is NaN, which argmax would select as the largest. Here it is the least.
    relevant, rows = np.nan_to_num(np.asarray(relevance, np.float64), nan=-1.0), _rows(embeddings)
    chosen = [int(np.argmax(relevant))]
    redundancy = similarities(rows[chosen[0]], rows, distance=distance)
    while len(chosen) < min(k, len(rows)):
        score = lambda_mult * relevant - (1 - lambda_mult) * redundancy
        score[chosen] = -np.inf
        chosen.append(int(np.argmax(score)))
        redundancy = np.maximum(redundancy, similarities(rows[chosen[-1]], rows, distance=distance))
    return chosen


def similarities(query: Float64, rows: Float64, *, distance: Distance) -> Float64:
    """Return `Distance.similarity` of a vector of shape (n,) to each row of a matrix of shape (m, n), shape (m,)."""
    match distance:
        case Distance.INNER_PRODUCT:
            return rows @ query
        case Distance.COSINE:
            return _over(rows @ query, np.linalg.norm(rows, axis=1) * np.linalg.norm(query))
        case Distance.JACCARD:
            return _over(np.minimum(rows, query).sum(axis=1), np.maximum(rows, query).sum(axis=1))
        case Distance.L2:
            return np.asarray(1 / (1 + np.linalg.norm(rows - query, axis=1)))
        case _:
            return np.asarray(1 / (1 + np.abs(rows - query).sum(axis=1)))


def _over(numerator: Float64, denominator: Float64) -> Float64:
    # A vector of zeros is similar to nothing, not even itself; pgvector returns NaN for cosine and 0 for jaccard.
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _mean(vectors: Sequence[Any], distance: Distance) -> Float64:
    rows = _rows(vectors)
    if distance is Distance.COSINE:
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = np.divide(rows, lengths, out=rows, where=lengths > 0)
    return np.asarray(rows.mean(axis=0))


def _rows(vectors: Sequence[Any]) -> Float64:
    # A sparse vector converts itself to NumPy.
    dense = [vector.to_numpy() if hasattr(vector, "to_numpy") else vector for vector in vectors]
    return np.array(dense, np.float64)
