"""The rules for a new collection, checked before any SQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypedDict

from sqlalchemy.exc import IntegrityError

from rowspace.distance import Distance, DistanceName
from rowspace.errors import CollectionExists, ConfigurationError, RowspaceError
from rowspace.filters import key_path
from rowspace.indexes import HNSW, IndexName, IVFFlat, Spec
from rowspace.repositories.given import is_text
from rowspace.settings import is_whole
from rowspace.vectors import MAX_DIMENSION

__all__ = ["CollectionOptions", "check_collection", "check_key", "check_keys", "check_language", "unless_taken"]


class CollectionOptions(TypedDict, total=False):
    """The options of a new collection; see `CollectionRepository.create`."""

    distance: Distance | DistanceName
    index: Spec | IndexName | None
    language: str
    embedder: str | None
    metadata: Mapping[str, Any] | None
    indexed_keys: Sequence[str]


def check_collection(
    name: str, dimension: int, distance: Distance | DistanceName, index: Spec | IndexName | None
) -> tuple[Distance, Spec | None]:
    """Return the distance and the index specification of a new collection.

    Raises:
        ConfigurationError: the name, the dimension, the distance or the index is invalid.
    """
    if not (is_text(name) and 1 <= len(name) <= 200 and name.isprintable() and name == name.strip()):
        message = (
            f"The name of a collection must be 1 to 200 printable characters without outer spaces, got {name!r:.80}."
        )
        raise ConfigurationError(message)
    if not is_whole(dimension, 1, MAX_DIMENSION):
        message = f"The dimension must be a whole number from 1 to {MAX_DIMENSION}, got {dimension!r}."
        raise ConfigurationError(message)
    metric = _distance(distance)
    spec = _index(index, metric)
    try:
        return metric, None if spec is None else spec.fit("vector", int(dimension))
    except ConfigurationError as error:
        error.at("index")
        raise


@contextmanager
def unless_taken(name: str) -> Iterator[None]:
    """Raise CollectionExists if another collection already has the name."""
    try:
        yield
    except IntegrityError as error:
        message = f"There is already a collection {name!r}."
        raise CollectionExists(message) from error


def check_language(language: str, known: Sequence[str]) -> None:
    """Refuse a text-search configuration that the server does not have.

    Raises:
        ConfigurationError: it is not among the `known`.
    """
    if language not in known:
        message = f"This server has no text-search configuration {language!r}; it has {', '.join(known)}."
        located = ConfigurationError(message).at("language")
        raise located


def check_keys(keys: Sequence[str]) -> list[str]:
    """Return the metadata keys that are to have their own index, each once.

    Raises:
        ConfigurationError: one text instead of several keys, or a key that is not a text.
        InvalidFilter: a key is malformed.
    """
    if isinstance(keys, str):
        message = f"Expected indexed_keys as a list of metadata keys, got one text. Write [{keys!r:.60}]."
        raise ConfigurationError(message)
    for index, key in enumerate(keys):
        try:
            check_key(key)
        except RowspaceError as error:
            error.at("indexed_keys", index)
            raise
    return [*dict.fromkeys(keys)]


def check_key(key: Any) -> None:
    """Refuse a value that is not a metadata key.

    Raises:
        ConfigurationError: it is not a text.
        InvalidFilter: it is malformed.
    """
    if not is_text(key):
        message = f"A metadata key must be a text, written as in a filter, got {key!r:.60}."
        raise ConfigurationError(message)
    key_path(key)


def _distance(distance: Distance | DistanceName) -> Distance:
    known = [metric for metric in Distance if not metric.for_bits]
    if distance in known:
        return Distance(distance)
    message = f"The distance of a collection must be one of {', '.join(known)}, got {distance!r}."
    raise ConfigurationError(message)


def _index(index: Any, distance: Distance) -> Spec | None:
    kinds: dict[str, type[Spec]] = {"hnsw": HNSW, "ivfflat": IVFFlat}
    if isinstance(index, str):
        if index not in kinds:
            message = f"Expected index as one of {', '.join(kinds)}, an HNSW or IVFFlat, or None, got {index!r}."
            raise ConfigurationError(message)
        return kinds[index](distance=distance)
    if index is not None and not isinstance(index, HNSW | IVFFlat):
        message = f"Expected index as one of {', '.join(kinds)}, an HNSW or IVFFlat, or None, got {index!r:.60}."
        raise ConfigurationError(message)
    if index is not None and index.distance is not distance:
        message = (
            f"The index has the distance {index.distance.value}, the collection {distance.value}, so no search could "
            "use it. Pass the same distance to both."
        )
        raise ConfigurationError(message)
    if index is not None and index.where is not None and not (isinstance(index.where, Mapping) and index.where):
        message = f"Expected where of the index as a metadata filter that is not empty, got {index.where!r}."
        raise ConfigurationError(message)
    return index
