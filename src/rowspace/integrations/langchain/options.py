"""The options of the store's constructor and their checks, without I/O."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from rowspace.distance import Distance
from rowspace.errors import ConfigurationError
from rowspace.services import CollectionInfo

__all__ = ["CollectionOptions", "DistanceStrategy", "distance_of", "refuse_unknown", "relevance"]


class DistanceStrategy(str, Enum):  # noqa: UP042 -- str() of a member must be the same as in langchain-postgres
    """The distances under their names in langchain-postgres. `Distance` has all distances."""

    EUCLIDEAN = "l2"
    COSINE = "cosine"
    MAX_INNER_PRODUCT = "inner"


_NAMES = {"inner": Distance.INNER_PRODUCT, "euclidean": Distance.L2, "max_inner_product": Distance.INNER_PRODUCT}


def distance_of(strategy: Any) -> Distance | None:
    """Return the distance of a `DistanceStrategy` (ours or langchain-postgres's), a `Distance` or a name.

    Raises:
        ConfigurationError: the name is unknown, or the distance compares bits.
    """
    if strategy is None:
        return None
    value = strategy.value if isinstance(strategy, Enum) else strategy
    distance = Distance(_NAMES.get(str(value).lower(), value))
    if distance.for_bits:
        message = f"Expected l2, cosine, inner_product or l1 for a collection, got {distance.value}."
        raise ConfigurationError(message)
    return distance


_EXTRA = {"index", "indexed_keys", "language"}


@dataclass(frozen=True, slots=True)
class CollectionOptions:
    """How to create the collection of a store if it is missing.

    Args:
        create: whether to create it; otherwise its absence is an error.
        dimension: the length of each embedding; None asks the embedder.
        distance: the distance to search by; None uses that of the collection, cosine for a new one.
        metadata: metadata of a new collection.
        extra: further keyword arguments of `DocumentService.create_collection`: `index`, `indexed_keys`, `language`.

    Raises:
        ConfigurationError: `extra` has another key.
    """

    create: bool = True
    dimension: int | None = None
    distance: Distance | None = None
    metadata: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not {*(self.extra or ())} <= _EXTRA:
            known = ", ".join(sorted(_EXTRA))
            message = f"collection_options must be a dict with any of {known}, got {self.extra!r:.80}."
            raise ConfigurationError(message)

    def create_keywords(self) -> dict[str, Any]:
        """Return keyword arguments for `DocumentService.create_collection`."""
        return {
            "dimension": self.dimension,
            "distance": self.distance or Distance.COSINE,
            "metadata": self.metadata,
            **(self.extra or {}),
            "exist_ok": True,
        }

    def check(self, found: CollectionInfo) -> None:
        """Check that a collection has the requested dimension and distance.

        Raises:
            ConfigurationError: it does not.
        """
        for name, wanted in (("dimension", self.dimension), ("distance", self.distance)):
            actual = getattr(found, name)
            if wanted is not None and wanted != actual:
                message = (
                    f"The collection {found.name!r} has the {name} {actual}, but {wanted} was requested. Omit the "
                    f"{name}, or use another collection."
                )
                raise ConfigurationError(message)


def relevance(distance: Distance) -> Callable[[float], float]:
    """Return a function that maps a distance to a relevance from 0 to 1.

    It is `Distance.similarity`, clipped to that range. For l2 and l1, nothing is clipped. For cosine, vectors that
    point in opposite directions are clipped. For the inner product, which assumes unit vectors, longer ones are.
    """

    def score(value: float) -> float:
        # The cosine distance to a zero vector is NaN.
        return 0.0 if math.isnan(value) else min(1.0, max(0.0, distance.similarity(value)))

    return score


def refuse_unknown(given: Mapping[str, Any], *, known: Collection[str] = ()) -> None:
    """Reject unknown keyword arguments, which LangChain's interface passes on to a store.

    Raises:
        ConfigurationError: a keyword argument is unknown.
    """
    unknown = [name for name in given if name not in known]
    if unknown:
        # If some are valid, list them: a misspelled filter must not just be omitted.
        hint = f"Valid ones: {', '.join(sorted(known))}" if known else "Omit it"
        message = f"Unknown keyword argument for the store: {', '.join(unknown)}. {hint}."
        raise ConfigurationError(message)
