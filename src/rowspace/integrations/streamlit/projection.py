"""Project vectors onto a plane, and build the rows of a chart. No Streamlit, no database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rowspace.integrations.streamlit.cards import excerpt
from rowspace.projection import Axes, principal_axes

__all__ = ["placed", "plane_of", "point", "scaled"]

Float64 = NDArray[np.float64]

_HOVER = 240


def plane_of(rows: Float64) -> Axes:
    """Return the first two principal components of a matrix of shape (rows, n), or one if n is 1."""
    return principal_axes([rows], min(2, rows.shape[1]))


def placed(axes: Axes, rows: Float64) -> Float64:
    """Project a matrix of shape (rows, n) to coordinates of shape (rows, 2)."""
    points = axes.transform(rows)
    return np.pad(points, ((0, 0), (0, 2 - points.shape[1]))).astype(np.float64)


def scaled(vectors: Iterable[Any], distance: str) -> Float64:
    """Return vectors as a matrix. For cosine distance, normalize them, because it ignores the length."""
    rows = np.array([*vectors], np.float64)
    if distance != "cosine" or not rows.size:
        return rows
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0))


def point(id_: str, text: str, metadata: Mapping[str, Any], at: Sequence[float], **more: Any) -> dict[str, Any]:
    """Return a row of the chart: a position, and the text and metadata to show on hover."""
    shown = excerpt(text, _HOVER)
    return {"x": float(at[0]), "y": float(at[1]), "id": id_, "text": shown, "metadata": metadata, **more}
