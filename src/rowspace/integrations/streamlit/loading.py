"""A load from the page: the collection and its documents in one transaction, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any

from rowspace import DocumentService
from rowspace.errors import InvalidRow
from rowspace.integrations._sides import Joined
from rowspace.integrations.streamlit.connection import RowspaceConnection
from rowspace.results import LoadReport
from rowspace.services import DocumentIn

__all__ = ["Target", "load"]

# Few, so that the bar moves: an embedder takes a second or so for each.
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Target:
    """Where a load goes: the name of a collection, and whether it is to be made."""

    name: str
    new: bool


def load(
    connection: RowspaceConnection,
    target: Target,
    documents: Iterable[DocumentIn],
    progress: Callable[[LoadReport], Any],
) -> LoadReport:
    """Load documents, all of them or none; a new collection is made in the same transaction.

    Raises:
        InvalidRow: a row cannot be read, or there is none.
        CollectionExists, CollectionNotFound: the new name is taken; there is no such collection.
        EmbedderMismatch: the collection was filled by another embedder.
    """
    source = iter(documents)
    first = next(source, None)
    if first is None:
        message = "The file holds no document."
        raise InvalidRow(message)
    with connection.begin() as session:
        service = DocumentService(Joined(session), connection.embedder)
        if target.new:
            size = None if first.embedding is None else len(first.embedding)
            service.create_collection(target.name, size)
        return service.add(target.name, chain([first], source), batch_size=_BATCH, progress=progress)
