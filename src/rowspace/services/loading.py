"""The shared parts of sync and async loads of documents: options, counts, batches, and texts to embed."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, TypedDict

from rowspace.errors import ConfigurationError, RowspaceError
from rowspace.repositories.given import callback, is_text, size
from rowspace.repositories.marks import Marks
from rowspace.results import LoadReport, Reject
from rowspace.services.incoming import MAX_KEY, Given, bytes_of, checked, id_of, sha256
from rowspace.services.models import DocumentIn

__all__ = [
    "NOT_INDEXED",
    "Batch",
    "Load",
    "LoadOptions",
    "Progress",
    "Rejects",
    "checked_key",
    "checked_options",
    "log",
]

log = logging.getLogger("rowspace.loads")

#: Logged after a first load by a role that may not build the indexes.
NOT_INDEXED = (
    "The collection %r has no indexes, and this role may not build them, because it does not own the table. Searches "
    "compare every document until the owner runs `rowspace index build` or DocumentService.build_indexes()."
)

#: Called after each batch with the totals so far.
Progress = Callable[[LoadReport], object]

#: Called with each row that cannot be stored.
Rejects = Callable[[Reject], object]


class LoadOptions(TypedDict, total=False):
    """Options of a load.

    Args:
        batch_size: number of documents embedded and written at once, at least 1; 500 by default.
        commit_batches: commit each batch, so that an interrupted load keeps what it wrote, and no transaction is open
            while a batch is embedded; by default the load is all or nothing.
        strip_nul: remove NUL bytes from texts instead of raising an error.
        build_indexes: create the indexes after a load into an empty collection, and after a load with `commit_batches`
            into a collection without indexes, which an interrupted first load leaves; True by default. A role that does
            not own the table cannot: the logger `rowspace.loads` then emits a warning.
    """

    batch_size: int
    commit_batches: bool
    strip_nul: bool
    build_indexes: bool


_DEFAULTS: LoadOptions = {"batch_size": 500, "commit_batches": False, "strip_nul": False, "build_indexes": True}


class Load:
    """One call of `add`: its options, and what it has done so far."""

    def __init__(
        self, *, strip_nul: bool = False, progress: Progress | None = None, rejects: Rejects | None = None
    ) -> None:
        self.report = LoadReport()
        #: SHA-256 of all documents so far, by which an interrupted load recognizes its source.
        self.digest = ""
        #: Whether the collection had no document before; None until the first batch.
        self.was_empty: bool | None = None
        self._strip_nul = strip_nul
        self._progress = callback("progress", progress)
        self._rejects = callback("rejects", rejects)
        # Of processed rows, a load only keeps one hash per id and one per text.
        self._seen = Marks()
        self._texts = Marks()

    def batch(
        self, given: list[Given], dimension: int, refused: Mapping[int, str] | None = None, *, half: bool = False
    ) -> Batch:
        """Return the next documents of the load as a batch, checked before the expensive embedding.

        Args:
            given: the documents.
            dimension: the collection's dimension.
            refused: by position, what is wrong with the content of some documents.
            half: whether the index holds embeddings as float16.

        Raises:
            InvalidRow, InvalidText, InvalidVector, DimensionMismatch: the message names the row. With `rejects`, such
                rows are handed back instead.
        """
        documents = []
        for number, item in enumerate(given, self.report.received):
            try:
                fault = (refused or {}).get(number - self.report.received)
                options = {"strip_nul": self._strip_nul, "half": half}
                documents.append(checked(item, number, dimension, refused=fault, **options))
            except RowspaceError as error:
                if self._rejects is None:
                    raise
                self._rejects(Reject(number, str(error), item))
        batch = Batch(documents, rejected=len(given) - len(documents))
        batch.look_back(self._seen, self._texts)
        return batch

    def sign(self, batch: Batch) -> str:
        """Return the digest after a batch; it depends on the documents, but not on the sizes of batches."""
        for document in batch.given:
            self.digest = hashlib.sha256(self.digest.encode() + bytes_of(document)).hexdigest()
        return self.digest

    def state(self, report: LoadReport) -> dict[str, Any]:
        """Return the state from which to continue the load after the batch that is being written, as JSON."""
        return {"report": asdict(self.report + report), "was_empty": self.was_empty}

    def passed_over(self, batch: Batch) -> None:
        """Count documents that an interrupted load has already read."""
        self.sign(batch)
        self.report += LoadReport(batch.received)

    def continue_from(self, state: Mapping[str, Any], digest: str) -> None:
        """Continue the counts of the interrupted load.

        Raises:
            ConfigurationError: the documents that were skipped are not the ones that the load had read.
        """
        report = LoadReport(**state["report"])
        if self.digest != digest or self.report.received != report.received:
            message = (
                f"The first {report.received} documents differ from those that the interrupted load read, because the "
                "source or the options have changed. The next load with this key starts at the first document."
            )
            raise ConfigurationError(message)
        self.report, self.was_empty = report, state["was_empty"]
        self.done(LoadReport())

    def done(self, report: LoadReport) -> None:
        """Count a batch that was written, and call `progress`."""
        self.report += report
        if self._progress is not None:
            self._progress(self.report)


class Batch:
    """Some documents of a load, to be compared with stored ones, embedded and written."""

    def __init__(self, documents: list[DocumentIn], *, rejected: int) -> None:
        #: The documents in their order.
        self.given = documents
        #: The documents by id; of several with the same id, the last one counts.
        self.documents = {id_of(document): document for document in documents}
        self.received = len(documents) + rejected
        self._rejected = rejected
        self._repeated = 0
        # Ids of an earlier batch, which are duplicates in any case.
        self._again: set[str] = set()
        self._unchanged: set[str] = set()
        self._same_text: set[str] = set()

    @property
    def comparable(self) -> list[str]:
        """The ids of documents to compare with stored ones; a document with its own vector is always written."""
        return [id_ for id_, document in self.documents.items() if document.embedding is None]

    @property
    def is_new(self) -> bool:
        """Whether no id has occurred before in the load."""
        return not self._again

    def compare(self, stored: Mapping[str, tuple[str, dict[str, Any]]]) -> None:
        """Set aside documents that are stored: `stored` has the SHA-256 of the content and the metadata by id."""
        for id_, (digest, metadata) in stored.items():
            document = self.documents[id_]
            if document.embedding is None and sha256(document.content) == digest:
                (self._unchanged if document.metadata == metadata else self._same_text).add(id_)

    def look_back(self, ids: Marks, texts: Marks) -> None:
        """Find the ids that occurred earlier in the load, and count texts that occurred under another id."""
        seen = ids.add(map(hash, self.documents))
        self._again = {id_ for id_ in self.documents if hash(id_) in seen} if seen else set()
        marks = [hash(one.content) for id_, one in self.documents.items() if id_ not in self._again]
        earlier = texts.add(marks)
        self._repeated = len(marks) - len(set(marks) - earlier)

    def to_embed(self) -> dict[str, str]:
        """Return the texts that need an embedding, by id."""
        known = self._unchanged | self._same_text
        return {i: d.content for i, d in self.documents.items() if d.embedding is None and i not in known}

    def metadata_changes(self) -> dict[str, dict[str, Any]]:
        """Return the metadata of documents whose text is already stored, by id."""
        return {id_: self.documents[id_].metadata for id_ in self._same_text}

    def same_texts(self) -> dict[str, str]:
        """Return the SHA-256 of the content of the same documents, by id."""
        return {id_: sha256(self.documents[id_].content) for id_ in self._same_text}

    def rows(self, embeddings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the rows to upsert, with the embeddings of `to_embed` by id."""
        for id_, document in self.documents.items():
            if id_ not in self._unchanged and id_ not in self._same_text:
                embedding = document.embedding if document.embedding is not None else embeddings[id_]
                yield {"id": id_, "content": document.content, "meta": document.metadata, "embedding": embedding}

    def report(self, written: LoadReport) -> LoadReport:
        """Return the report of the batch, given that of its upsert."""
        unchanged = len(self._unchanged - self._again)
        duplicates = len(self.given) - len(self.documents) + len(self._again)
        updated = len(self.given) - written.inserted - unchanged - duplicates
        counts = (written.inserted, updated, unchanged, duplicates, self._rejected, self._repeated)
        return LoadReport(self.received, *counts)


def checked_options(options: LoadOptions) -> LoadOptions:
    """Return the options of a load with their defaults.

    Raises:
        TypeError: an unknown option.
        ConfigurationError: the batch size is below 1 or not an integer.
    """
    if unknown := options.keys() - _DEFAULTS.keys():
        known = ("resume", "rejects", "progress", *_DEFAULTS)
        message = f"A load has no option {', '.join(map(repr, sorted(unknown)))}. Its options are {', '.join(known)}."
        raise TypeError(message)
    given: LoadOptions = {**_DEFAULTS, **options}
    return {**given, "batch_size": size("batch_size", given["batch_size"])}


def checked_key(resume: Any) -> str:
    """Return the key of a resumable load, checked.

    Raises:
        ConfigurationError: it is not a text of 1 to 2,600 bytes.
    """
    if not is_text(resume) or not 1 <= len(resume.encode()) <= MAX_KEY:
        message = (
            f"Expected resume as the key of the load, 1 to {MAX_KEY:,} bytes of text without NUL, got {resume!r:.60}."
        )
        raise ConfigurationError(message)
    key: str = resume
    return key
