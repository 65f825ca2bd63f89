"""What sync and async loads of documents share: batches, ids, and which texts need no new embedding."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Container, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from pydantic import ValidationError

from rowspace.errors import InvalidRow, RowspaceError
from rowspace.results import LoadReport
from rowspace.services.models import DocumentIn
from rowspace.vectors import as_vector
from rowspace.wire.encode import storable_json, storable_text

__all__ = ["Batch", "Load", "Progress", "abatches", "batches"]

#: Called after each batch with the totals so far.
Progress = Callable[[LoadReport], None]

Given = DocumentIn | Mapping[str, Any] | str


class Load:
    """One call of `add`: its options, and what it has done so far."""

    def __init__(self, *, strip_nul: bool, progress: Progress | None) -> None:
        self.report = LoadReport()
        #: Whether the collection had no document before; None until the first batch looked.
        self.was_empty: bool | None = None
        self._strip_nul = strip_nul
        self._progress = progress
        # One hash an id is all that a load remembers of the rows that have gone by.
        self._seen: set[int] = set()

    def batch(self, given: list[Given], dimension: int) -> Batch:
        """Return the next documents of the load as a batch, checked before anything is embedded, which costs most.

        Args:
            given: the documents.
            dimension: what an embedding must have.

        Raises:
            InvalidRow, InvalidText, InvalidVector, DimensionMismatch: the message names the row.
        """
        numbered = enumerate(given, self.report.received)
        documents = [
            _storable(_document(item, number), number, dimension, strip_nul=self._strip_nul)
            for number, item in numbered
        ]
        batch = Batch(documents, self._seen)
        self._seen.update(map(hash, batch.documents))
        return batch

    def done(self, report: LoadReport) -> None:
        """Count a batch that was written, and tell whoever wants to know."""
        self.report += report
        if self._progress is not None:
            self._progress(self.report)


class Batch:
    """Some documents of a load, to be compared with what is stored, embedded and written."""

    def __init__(self, documents: list[DocumentIn], seen: Container[int]) -> None:
        #: By id: of documents with one id the last counts.
        self.documents = {_id(document): document for document in documents}
        self.received = len(documents)
        # Ids that came in an earlier batch: whatever becomes of them now, they are duplicates.
        self._again = {id_ for id_ in self.documents if hash(id_) in seen}
        self._unchanged: set[str] = set()
        self._same_text: set[str] = set()

    def compare(self, stored: Mapping[str, tuple[str, dict[str, Any]]]) -> None:
        """Set aside what is stored already: `stored` has the MD5 of the content and the metadata by id."""
        for id_, (digest, metadata) in stored.items():
            document = self.documents[id_]
            if document.embedding is None and _md5(document.content) == digest:
                (self._unchanged if document.metadata == metadata else self._same_text).add(id_)

    def to_embed(self) -> dict[str, str]:
        """Return the texts that need an embedding, by id."""
        known = self._unchanged | self._same_text
        return {i: d.content for i, d in self.documents.items() if d.embedding is None and i not in known}

    def metadata_changes(self) -> dict[str, dict[str, Any]]:
        """Return the metadata of documents whose text is stored already, by id."""
        return {id_: self.documents[id_].metadata for id_ in self._same_text}

    def rows(self, embeddings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the rows to upsert, with the embeddings of `to_embed` by id."""
        for id_, document in self.documents.items():
            if id_ not in self._unchanged and id_ not in self._same_text:
                embedding = document.embedding if document.embedding is not None else embeddings[id_]
                yield {"id": id_, "content": document.content, "meta": document.metadata, "embedding": embedding}

    def report(self, written: LoadReport) -> LoadReport:
        """Return the report of the batch, given that of its upsert."""
        unchanged = len(self._unchanged - self._again)
        duplicates = self.received - len(self.documents) + len(self._again)
        updated = self.received - written.inserted - unchanged - duplicates
        return LoadReport(self.received, written.inserted, updated, unchanged, duplicates)


def batches(documents: Iterable[Given], size: int) -> Iterator[list[Given]]:
    """Yield lists of at most `size` documents, read from the iterable once."""
    source = iter(documents)
    while batch := list(islice(source, size)):
        yield batch


async def abatches(documents: Iterable[Given] | AsyncIterable[Given], size: int) -> AsyncIterator[list[Given]]:
    """Yield lists of at most `size` documents, from a plain or an async iterable."""
    if not isinstance(documents, AsyncIterable):
        for batch in batches(documents, size):
            yield batch
        return
    batch = []
    async for document in documents:
        batch.append(document)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _document(given: Given, number: int) -> DocumentIn:
    if isinstance(given, DocumentIn):
        return given
    try:
        return DocumentIn.model_validate({"content": given} if isinstance(given, str) else given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "document"
        message = f"Row {number}, {where}: {first['msg']}, got {first['input']!r:.80}."
        located = InvalidRow(message).at("documents", number, *first["loc"])
        raise located from error


def _storable(document: DocumentIn, number: int, dimension: int, *, strip_nul: bool) -> DocumentIn:
    """Return a document as it will come back, so that it can be compared with what is stored."""
    clean: dict[str, Any] = {}
    field = ""
    try:
        for field in ("id", "content"):
            clean[field] = storable_text(getattr(document, field) or "", strip_nul=strip_nul)
        field = "metadata"
        clean[field] = storable_json(document.metadata, strip_nul=strip_nul)
        field = "embedding"
        if document.embedding is not None:
            clean[field] = as_vector(document.embedding, dimension=dimension)
    except RowspaceError as error:
        message = f"Row {number} (id {document.id!r}), {field}: {error}"
        located = type(error)(message).at("documents", number, field)
        raise located from error
    return document.model_copy(update=clean)


def _id(document: DocumentIn) -> str:
    return document.id or hashlib.sha256(document.content.encode()).hexdigest()[:32]


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
