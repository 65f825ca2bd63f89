"""Exact nearest neighbours in NumPy: the reference for measuring the recall of an index.

Works in blocks, so that memory does not grow with the number of rows: it holds one block of distances and the k best.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rowspace.distance import Distance, DistanceName
from rowspace.errors import ConfigurationError
from rowspace.vectors import as_matrix

__all__ = ["exact_nearest", "recall_of"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Indices = NDArray[np.intp]

#: The number of distances in memory at once, of 8 bytes each.
_AT_ONCE = 4 << 20
#: Rows per block: enough to keep NumPy busy, few enough that a copy in float64 takes little memory.
_ROWS = 4_096

#: The relative rounding error of a sum of some thousand products in float64.
_ROUNDING = 1e-13

_MEASURES = (Distance.COSINE, Distance.L2, Distance.INNER_PRODUCT, Distance.L1)


def exact_nearest(
    matrix: Any, queries: Any, k: int = 10, *, distance: Distance | DistanceName | Literal["ip"] = Distance.COSINE
) -> tuple[Indices, Float32]:
    """Return the indices and distances of the k rows nearest to each query, nearest first; ties are in row order.

    Computed in float64. Distances are pgvector's: the inner product is negated, and a cosine distance to a vector of
    zeros is NaN and comes last. Costs a pass over the rows for each block of queries.

    Args:
        matrix: an array-like of shape (rows, n).
        queries: an array-like of shape (q, n), or of shape (n,) for one query.
        k: number of rows to return; all rows if there are fewer.
        distance: cosine, l2, inner_product (or ip) or l1.

    Returns:
        Two arrays of shape (q, min(k, rows)): indices as intp, distances as float32.

    Raises:
        InvalidVector, DimensionMismatch: they are not matrices of numbers, or their dimensions differ.
        ConfigurationError: k is not an integer of at least 1, or the distance is unknown or for bits.
    """
    rows = as_matrix(matrix)
    wanted = as_matrix(np.atleast_2d(queries), dimension=rows.shape[1])
    metric = _metric(distance)
    _check_k(k)
    size = max(1, _AT_ONCE // _ROWS)
    parts = [_nearest(rows, wanted[at : at + size], k, metric) for at in range(0, len(wanted), size)]
    if not parts:
        return np.empty((0, min(k, len(rows))), np.intp), np.empty((0, min(k, len(rows))), np.float32)
    indices, distances = zip(*parts, strict=True)
    return np.concatenate(indices), np.concatenate(distances)


def recall_of(found: Any, nearest: Any) -> float:
    """Return the share of the true nearest rows that were found, over all queries; 1 if there was nothing to find.

    Args:
        found: for each query, the keys or indices that a search returned.
        nearest: for each query, the keys or indices of the exact search.
    """
    pairs = [(set(some), set(true)) for some, true in zip(found, nearest, strict=True)]
    total = sum(len(true) for _, true in pairs)
    return sum(len(some & true) for some, true in pairs) / total if total else 1.0


def _check_k(k: Any) -> None:
    if isinstance(k, bool) or not isinstance(k, Integral) or int(k) < 1:
        message = f"k must be a whole number of at least 1, got {k!r}."
        raise ConfigurationError(message)


def _metric(distance: Distance | DistanceName | Literal["ip"]) -> Distance:
    metric = Distance.INNER_PRODUCT if distance == "ip" else Distance(distance)
    if metric.for_bits:
        message = f"The distance of rows of numbers must be one of {', '.join(_MEASURES)}, got {metric.value!r}."
        raise ConfigurationError(message)
    return metric


def _nearest(rows: Float32, queries: Float32, k: int, metric: Distance) -> tuple[Indices, Float32]:
    """Go through the rows block by block, and put the k best so far in front of each block."""
    wanted = queries.astype(np.float64)
    indices = np.empty((len(wanted), 0), np.intp)
    distances = np.empty((len(wanted), 0), np.float32)
    for at in range(0, len(rows), _ROWS):
        block = rows[at : at + _ROWS].astype(np.float64)
        # As float32, so that distances that differ only by the rounding of a matrix product are ties.
        new = _distances(wanted, block, metric).astype(np.float32)
        positions = np.broadcast_to(np.arange(at, at + len(block), dtype=np.intp), new.shape)
        indices, distances = _best(np.hstack([indices, positions]), np.hstack([distances, new]), k)
    return indices, distances


def _best(indices: Indices, distances: Float32, k: int) -> tuple[Indices, Float32]:
    """Keep the k smallest of each row; candidates are in the order of their index, which a stable sort preserves."""
    kept = min(k, distances.shape[1])
    chosen = np.empty((len(distances), kept), np.intp)
    for row, found in enumerate(distances):
        limit = np.partition(found, kept - 1)[kept - 1]
        # Not `<=`, so that a limit of NaN keeps all of them.
        near = np.flatnonzero(~(found > limit))
        chosen[row] = near[np.argsort(found[near], kind="stable")[:kept]]
    return np.take_along_axis(indices, chosen, 1), np.take_along_axis(distances, chosen, 1)


def _distances(queries: Float64, rows: Float64, metric: Distance) -> Float64:
    if metric is Distance.L1:
        # One query at a time: the differences for all of them would be a three-dimensional array.
        return np.stack([np.abs(rows - query).sum(axis=1) for query in queries])
    product: Float64 = queries @ rows.T
    if metric is Distance.INNER_PRODUCT:
        return -product
    if metric is Distance.COSINE:
        lengths = np.outer(np.linalg.norm(queries, axis=1), np.linalg.norm(rows, axis=1))
        with np.errstate(invalid="ignore"):
            return _without_noise(1.0 - product / lengths, 1.0)
    lengths = np.add.outer((queries**2).sum(axis=1), (rows**2).sum(axis=1))
    return np.sqrt(_without_noise(lengths - 2 * product, lengths))


def _without_noise(differences: Float64, scale: Any) -> Float64:
    """Return differences with 0 in place of those that are no larger than the rounding error of their operands."""
    return np.where(np.abs(differences) < _ROUNDING * scale, 0.0, differences)
