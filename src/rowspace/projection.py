"""Principal components in NumPy, for plots.

Works in blocks: memory holds the mean and the covariance of the rows, n by n numbers for n dimensions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rowspace.errors import ConfigurationError, InvalidVector
from rowspace.vectors import as_matrix

__all__ = ["Axes", "Covariance", "check_components", "principal_axes"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Axes:
    """The directions in which rows differ most.

    Args:
        mean: the mean of the rows, which becomes the origin, of shape (n,).
        directions: orthonormal directions, of shape (components, n); the component of largest magnitude of each is
            positive.
        explained: the share of the variance along each direction, of shape (components,).
    """

    mean: Float64
    directions: Float64
    explained: Float64

    def transform(self, vectors: Any) -> Float32:
        """Return the coordinates of vectors of shape (rows, n), of shape (rows, components); of (n,), (components,).

        Raises:
            InvalidVector, DimensionMismatch: not vectors of n dimensions.
        """
        single = np.ndim(vectors) == 1
        matrix = as_matrix(np.atleast_2d(vectors), dimension=len(self.mean))
        # Not (rows - mean) @ directions, which would need another matrix of float64.
        points = (matrix @ self.directions.T.astype(np.float32)) - (self.directions @ self.mean).astype(np.float32)
        return np.asarray(points[0] if single else points, np.float32)


class Covariance:
    """Mean and covariance of rows that are added in blocks."""

    def __init__(self) -> None:
        #: Rows so far.
        self.rows: int = 0
        # Subtracted from each row: sums of squares around a distant point would lose precision.
        self._shift: Float64 | None = None
        self._sum: Float64 = np.zeros(0)
        self._products: Float64 = np.zeros((0, 0))

    def add(self, block: Any) -> None:
        """Add the rows of a matrix of shape (rows, n).

        Raises:
            InvalidVector, DimensionMismatch: not a matrix, or of another dimension than the ones before.
        """
        matrix = as_matrix(block, dimension=None if self._shift is None else len(self._shift)).astype(np.float64)
        if not len(matrix):
            return
        if self._shift is None:
            self._shift = matrix.mean(axis=0)
            self._sum = np.zeros(matrix.shape[1])
            self._products = np.zeros((matrix.shape[1], matrix.shape[1]))
        matrix -= self._shift
        self._sum += matrix.sum(axis=0)
        self._products += matrix.T @ matrix
        self.rows += len(matrix)

    def axes(self, components: int) -> Axes:
        """Return the directions in which the rows differ most.

        Raises:
            InvalidVector: there was no row.
            ConfigurationError: fewer than one component, or more components than dimensions.
        """
        if self._shift is None:
            message = "There is no row to project."
            raise InvalidVector(message)
        components = check_components(components, len(self._shift))
        offset = self._sum / self.rows
        covariance = self._products / self.rows - np.outer(offset, offset)
        variances, vectors = np.linalg.eigh(covariance)
        order = np.argsort(variances)[::-1][:components]
        directions = vectors.T[order]
        # The sign of an eigenvector is arbitrary; this makes it the same in every run.
        largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], 1)
        total = max(float(np.maximum(variances, 0).sum()), np.finfo(np.float64).tiny)
        explained = np.maximum(variances[order], 0) / total
        return Axes(self._shift + offset, directions * np.where(largest < 0, -1.0, 1.0), explained)


def check_components(components: Any, dimension: int) -> int:
    """Return the number of components as an int.

    Raises:
        ConfigurationError: it is not an integer from 1 to the dimension.
    """
    if type(components) is bool or not isinstance(components, Integral) or not 1 <= int(components) <= dimension:
        message = f"components must be a whole number from 1 to {dimension}, got {components!r}."
        raise ConfigurationError(message)
    return int(components)


def principal_axes(blocks: Iterable[Any], components: int = 2) -> Axes:
    """Return the directions in which rows differ most, from matrices of shape (rows, n); errors are those of `axes`."""
    covariance = Covariance()
    for block in blocks:
        covariance.add(block)
    return covariance.axes(components)
