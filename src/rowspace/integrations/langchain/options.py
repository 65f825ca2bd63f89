"""The options of the store's constructor, checked: plain values, no I/O."""

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
    """Return the distance of a `DistanceStrategy` (ours or langchain-postgres's), a `Distance` or a name.

    Raises:
        ConfigurationError: the name is unknown, or the distance compares bits.
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
    """How to create the collection of a store if it is missing.

    Args:
        create: whether to create it; otherwise its absence is an error.
        dimension: length of each embedding; None asks the embedder.
        distance: the distance to search by; None uses that of the collection, cosine for a new one.
        metadata: metadata of a new collection.
        extra: further keywords of `DocumentService.create_collection`: `index`, `indexed_keys`, `language`.

    Raises:
        ConfigurationError: `extra` has another keyword.
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
        """Refuse a collection with another dimension or distance than requested.

        Raises:
            ConfigurationError: it has.
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

    It is `Distance.similarity`, clipped to that range: l2 and l1 are never clipped; cosine is for vectors that point in
    opposite directions; the inner product assumes unit vectors, and is clipped at 1 for longer ones.
    """

    def score(value: float) -> float:
        # The cosine distance to a vector of zeros is NaN.
        return 0.0 if math.isnan(value) else min(1.0, max(0.0, distance.similarity(value)))

    return score


def refuse_unknown(given: Mapping[str, Any], *, known: Collection[str] = ()) -> None:
    """Refuse unknown keywords, which LangChain's interface passes on to a store.

    Raises:
        ConfigurationError: there is one.
    """
    unknown = [name for name in given if name not in known]
    if unknown:
        # To leave out what was meant for a filter would be no help.
        hint = f"there are {', '.join(sorted(known))}" if known else "leave it out"
        message = f"The store does not know {', '.join(unknown)}: {hint}."
        raise ConfigurationError(message)
