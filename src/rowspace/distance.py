"""The six distances of pgvector: their operators, operator classes and similarities.

Source: pgvector's README, sections "Querying", "Indexing" and "Binary Vectors". Nothing here touches SQLAlchemy.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Literal, TypeAlias

from rowspace.errors import ConfigurationError

__all__ = ["Distance", "DistanceName"]

#: Accepted wherever a distance is passed.
DistanceName: TypeAlias = Literal["l2", "cosine", "inner_product", "l1", "hamming", "jaccard"]


class Distance(StrEnum):
    """How far two vectors are from each other: smaller is nearer, for all six.

    `INNER_PRODUCT` is the negative inner product, as pgvector's `<#>` returns it. `HAMMING` and
    `JACCARD` are for bit vectors only.
    """

    L2 = "l2"
    COSINE = "cosine"
    INNER_PRODUCT = "inner_product"
    L1 = "l1"
    HAMMING = "hamming"
    JACCARD = "jaccard"

    @classmethod
    def _missing_(cls, value: object) -> None:
        message = f"The distance must be one of {', '.join(cls)}, got {value!r}."
        raise ConfigurationError(message)

    @property
    def operator(self) -> str:
        """pgvector's operator, for example `<=>`."""
        return _OPERATOR[self]

    @property
    def for_bits(self) -> bool:
        """Whether it compares bit vectors."""
        return self in {Distance.HAMMING, Distance.JACCARD}

    def opclass(self, type_name: str) -> str:
        """Return the operator class that indexes this distance on `type_name` (vector, halfvec, sparsevec or bit).

        Raises:
            ConfigurationError: the distance is not defined for that type.
        """
        if (type_name == "bit") != self.for_bits or type_name not in {"vector", "halfvec", "sparsevec", "bit"}:
            message = f"{self.value} distance has no operator class for {type_name!r}."
            raise ConfigurationError(message)
        return f"{type_name}_{'ip' if self is Distance.INNER_PRODUCT else self.value}_ops"

    def similarity(self, distance: float) -> float:
        """Return the similarity of a distance: larger is nearer.

        Cosine and jaccard: `1 - distance`, in [-1, 1] and [0, 1]. Inner product: its sign turned, unbounded.
        L2, L1 and hamming: `1 / (1 + distance)`, in (0, 1].
        """
        # Called for each hit: names of the module are looked up three times as fast as members of an enumeration.
        if self is _COSINE or self is _JACCARD:
            return 1.0 - distance
        if self is _INNER_PRODUCT:
            return -distance
        return 1.0 / (1.0 + distance)

    def distance_at(self, similarity: float) -> float:
        """Return the largest distance of a similarity, the inverse of `similarity`.

        For L2, L1 and hamming every row is more similar than 0, which is infinity as a distance.
        """
        if self in {Distance.COSINE, Distance.JACCARD}:
            return 1.0 - similarity
        if self is Distance.INNER_PRODUCT:
            return -similarity
        if similarity <= 0:
            return math.inf
        # Several distances round to the same similarity; all of those rows are similar enough.
        farthest = 1.0 / similarity
        while 1.0 / (farther := math.nextafter(farthest, math.inf)) >= similarity:
            farthest = farther
        return farthest - 1.0 + math.ulp(farthest) / 2


_COSINE, _JACCARD, _INNER_PRODUCT = Distance.COSINE, Distance.JACCARD, Distance.INNER_PRODUCT

_OPERATOR = {
    Distance.L2: "<->",
    Distance.COSINE: "<=>",
    Distance.INNER_PRODUCT: "<#>",
    Distance.L1: "<+>",
    Distance.HAMMING: "<~>",
    Distance.JACCARD: "<%>",
}
