"""Two dimensions of many, and the rows of a chart. No Streamlit, no database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Plane", "point", "scaled"]

Float64 = NDArray[np.float64]

_HOVER = 240


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """The two directions in which vectors differ most: a mean of shape (n,), directions of shape (n, 2)."""

    mean: Float64
    directions: Float64

    @classmethod
    def of(cls, rows: Float64) -> Plane:
        """Return the plane of the first two principal components of a matrix of shape (rows, n)."""
        mean = rows.mean(axis=0)
        centred = rows - mean
        # The smaller of the two products has the same eigenvalues.
        if len(rows) < rows.shape[1]:
            directions = centred.T @ np.linalg.eigh(centred @ centred.T)[1][:, :-3:-1]
        else:
            directions = np.linalg.eigh(centred.T @ centred)[1][:, :-3:-1]
        if directions.shape[1] < 2:
            directions = np.pad(directions, ((0, 0), (0, 2 - directions.shape[1])))
        lengths = np.linalg.norm(directions, axis=0)
        directions = np.divide(directions, lengths, out=np.zeros_like(directions), where=lengths > 1e-12)
        return cls(mean, directions)

    def project(self, rows: Float64) -> Float64:
        """Return the coordinates of a matrix of shape (rows, n), of shape (rows, 2)."""
        return np.asarray((rows - self.mean) @ self.directions)


def scaled(vectors: Iterable[Any], distance: str) -> Float64:
    """Return vectors as a matrix; for cosine distance each of length one, as the length says nothing there."""
    rows = np.array([*vectors], np.float64)
    if distance != "cosine" or not rows.size:
        return rows
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0))


def point(id_: str, text: str, metadata: Mapping[str, Any], at: Sequence[float], **more: Any) -> dict[str, Any]:
    """Return a row of the chart: what its mark is, where it is, and what the pointer shows over it."""
    shown = text if len(text) <= _HOVER else text[:_HOVER] + " …"
    return {"x": float(at[0]), "y": float(at[1]), "id": id_, "text": shown, "metadata": metadata, **more}
