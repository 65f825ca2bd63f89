"""What the constructor of the store takes, checked: plain values, no I/O."""

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


class DistanceStrategy(str, Enum):  # noqa: UP042 -- str() of a member stays what it is in langchain-postgres
    """The distances by the names that langchain-postgres gives them; `Distance` has them all."""

    EUCLIDEAN = "l2"
    COSINE = "cosine"
    MAX_INNER_PRODUCT = "inner"


_NAMES = {"inner": Distance.INNER_PRODUCT, "euclidean": Distance.L2, "max_inner_product": Distance.INNER_PRODUCT}


def distance_of(strategy: Any) -> Distance | None:
    """Return the distance of a `DistanceStrategy`, of this module or of langchain-postgres, a `Distance` or a name.

    Raises:
        ConfigurationError: there is none of that name, or it compares bits.
    """
    if strategy is None:
        return None
    value = strategy.value if isinstance(strategy, Enum) else strategy
    distance = Distance(_NAMES.get(str(value).lower(), value))
    if distance.for_bits:
        message = f"A collection is searched by l2, cosine, inner_product or l1, got {distance.value}."
        raise ConfigurationError(message)
    return distance


_EXTRA = {"index", "indexed_keys", "language"}


@dataclass(frozen=True, slots=True)
class CollectionOptions:
    """How the collection of a store is made where it is not there.

    Args:
        create: make it where it is not there; otherwise its absence is an error.
        dimension: numbers in each embedding; None asks the embedder.
        distance: what is searched by; None takes that of the collection, cosine for a new one.
        metadata: of the collection, when it is made.
        extra: further keywords of `DocumentService.create_collection`: `index`, `indexed_keys`, `language`.

    Raises:
        ConfigurationError: another keyword among the further ones.
    """

    create: bool = True
    dimension: int | None = None
    distance: Distance | None = None
    metadata: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not {*(self.extra or ())} <= _EXTRA:
            known = ", ".join(sorted(_EXTRA))
            message = f"collection_options is a dict of {known}, each optional; got {self.extra!r:.80}."
            raise ConfigurationError(message)

    def create_keywords(self) -> dict[str, Any]:
        """Return the keywords of `DocumentService.create_collection`."""
        return {
            "dimension": self.dimension,
            "distance": self.distance or Distance.COSINE,
            "metadata": self.metadata,
            **(self.extra or {}),
            "exist_ok": True,
        }

    def check(self, found: CollectionInfo) -> None:
        """Refuse a collection that is not what was asked for.

        Raises:
            ConfigurationError: it has another dimension or distance.
        """
        for name, wanted in (("dimension", self.dimension), ("distance", self.distance)):
            actual = getattr(found, name)
            if wanted is not None and wanted != actual:
                message = (
                    f"The collection {found.name!r} has the {name} {actual}, {wanted} was asked for. Leave it out, or "
                    "take another collection."
                )
                raise ConfigurationError(message)


def relevance(distance: Distance) -> Callable[[float], float]:
    """Return the function from a distance to a relevance from 0 to 1.

    It is `Distance.similarity` cut off at both ends: l2 and l1 are never cut; cosine is for vectors that point away;
    the inner product is for vectors of length one, and cut at 1 for longer ones.
    """

    def score(value: float) -> float:
        # The cosine distance to a vector of zeros is NaN.
        return 0.0 if math.isnan(value) else min(1.0, max(0.0, distance.similarity(value)))

    return score


def refuse_unknown(given: Mapping[str, Any], *, known: Collection[str] = ()) -> None:
    """Refuse keywords that LangChain's interface lets through to a store and this one does not know.

    Raises:
        ConfigurationError: there is one.
    """
    unknown = [name for name in given if name not in known]
    if unknown:
        # To leave out what was meant for a filter would be no help.
        hint = f"there are {', '.join(sorted(known))}" if known else "leave it out"
        message = f"The store does not know {', '.join(unknown)}: {hint}."
        raise ConfigurationError(message)
