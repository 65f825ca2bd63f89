"""Load a file from the page. The collection and its documents are stored in one transaction."""

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

# Small batches keep the bar moving: an embedder takes about a second for each.
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Target:
    """The target of a load: the name of a collection, and whether to create it."""

    name: str
    new: bool


def load(
    connection: RowspaceConnection,
    target: Target,
    documents: Iterable[DocumentIn],
    progress: Callable[[LoadReport], Any],
) -> LoadReport:
    """Load documents, all of them or none. A new collection is created in the same transaction.

    Raises:
        InvalidRow: a row is invalid, or the file has no rows.
        CollectionExists, CollectionNotFound: the new name is taken, or the collection does not exist.
        EmbedderMismatch: another embedder filled the collection.
    """
    source = iter(documents)
    first = next(source, None)
    if first is None:
        message = "The file contains no documents."
        raise InvalidRow(message)
    with connection.begin() as session:
        service = DocumentService(Joined(session), connection.embedder)
        if target.new:
            size = None if first.embedding is None else len(first.embedding)
            service.create_collection(target.name, size)
        return service.add(target.name, chain([first], source), batch_size=_BATCH, progress=progress)
