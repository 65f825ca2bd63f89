"""The arguments and results of recommendations, without I/O: sort the examples, combine the hits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from rowspace.errors import ConfigurationError, InvalidSetting
from rowspace.ranking import farness
from rowspace.repositories.given import several
from rowspace.repositories.subjects import Subject
from rowspace.results import Hit
from rowspace.settings import check_number
from rowspace.statements.search import Nearest

__all__ = ["Examples", "checked_candidates", "merged"]

M = TypeVar("M")

_STRATEGIES = ("average", "best_score")


@dataclass(frozen=True, slots=True)
class Examples:
    """Positive and negative examples, each the key of a row, as a tuple, or a vector."""

    subject: Subject[Any]
    positive: Sequence[Any]
    negative: Sequence[Any]

    @classmethod
    def of(cls, subject: Subject[Any], positive: Sequence[Any], negative: Sequence[Any], strategy: str) -> Examples:
        """Return the examples with every bare key as a tuple.

        Raises:
            ConfigurationError: no positive example, one in place of several, an unknown strategy, or an average of bit
                vectors.
        """
        positive, negative = _several(positive), _several(negative)
        if strategy not in _STRATEGIES:
            message = f"strategy must be one of {', '.join(_STRATEGIES)}, got {strategy!r}."
            raise ConfigurationError(message)
        if strategy == "average" and subject.target.distance.for_bits:
            message = "Bit vectors have no average. Pass strategy='best_score'."
            raise ConfigurationError(message)
        if not positive:
            message = (
                "recommend needs at least one positive example, because an index finds near rows, not distant ones."
            )
            raise ConfigurationError(message)
        return cls(subject, *([_sorted_out(subject, one) for one in some] for some in (positive, negative)))

    @property
    def keys(self) -> list[tuple[Any, ...]]:
        """The keys among the examples."""
        return [one for one in (*self.positive, *self.negative) if isinstance(one, tuple)]

    def vectors(self, embeddings: Mapping[tuple[Any, ...], Any]) -> tuple[list[Any], list[Any]]:
        """Return the positive and the negative examples as vectors.

        Raises:
            InvalidVector: one is not a vector of the right dimension.
        """
        given = [
            [embeddings[one] if isinstance(one, tuple) else one for one in some]
            for some in (self.positive, self.negative)
        ]
        positive, negative = (self.subject.vectors(some) for some in given)
        return positive, negative


def merged(lists: Sequence[Sequence[Hit[M]]], k: int) -> list[Hit[M]]:
    """Return the k nearest hits of several lists, each entity once, by its nearest hit."""
    nearest: dict[int, Hit[M]] = {}
    for hit in (hit for hits in lists for hit in hits):
        # The session has one object per row.
        known = nearest.setdefault(id(hit.entity), hit)
        if farness(hit.distance) < farness(known.distance):
            nearest[id(hit.entity)] = hit
    return sorted(nearest.values(), key=lambda hit: farness(hit.distance))[:k]


def checked_candidates(k: int, fetch_k: int | None, lambda_mult: Any) -> int:
    """Return the number of candidates for k diverse rows.

    Raises:
        InvalidSetting: k, `fetch_k` or `lambda_mult` is out of range.
    """
    check_number("lambda_mult", lambda_mult, 0, 1)
    candidates = Nearest(max(4 * Nearest(k).k, 20) if fetch_k is None else fetch_k).k
    if candidates < k:
        message = f"fetch_k must be at least k, got {fetch_k} for k={k}."
        raise InvalidSetting(message)
    return candidates


def _several(given: Any) -> list[Any]:
    examples = list(several(given, "examples"))
    if examples and all(isinstance(example, float | np.floating) for example in examples):
        message = f"Expected examples as a list, got one vector of {len(examples)} dimensions. Write [vector]."
        raise ConfigurationError(message)
    return examples


def _sorted_out(subject: Subject[Any], example: Any) -> Any:
    # A sparse vector can be passed as a dict.
    is_vector = isinstance(example, list | Mapping) or hasattr(example, "__array__") or hasattr(example, "to_numpy")
    return example if is_vector and not _is_scalar(example) else subject.key(example)


def _is_scalar(value: Any) -> bool:
    # NumPy scalars have an __array__ too.
    return getattr(value, "ndim", None) == 0
