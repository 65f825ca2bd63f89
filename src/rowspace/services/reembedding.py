"""The shared parts of sync and async re-embedding: the index of the new embeddings, and postponing a swap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rowspace.indexes import Spec, from_dict
from rowspace.models import Collection
from rowspace.repositories.naming import check_collection
from rowspace.results import Reembedded

__all__ = ["PutOff", "WatchReembedding", "new_index"]

#: Called after each batch and at the start of each phase.
WatchReembedding = Callable[[Reembedded], object]


class PutOff(Exception):
    """The swap is not possible now."""


def new_index(collection: Collection, dimension: int, index: Any) -> Spec | None:
    """Return the index specification of the new embeddings; `same` stands for that of the old ones.

    Raises:
        ConfigurationError: no such dimension, or an index that cannot hold it.
    """
    wanted = from_dict(collection.index) if index == "same" else index
    return check_collection(collection.name, dimension, collection.metric, wanted)[1]
