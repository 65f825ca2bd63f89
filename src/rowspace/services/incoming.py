"""Check and normalize single documents of a load. `loading` processes many of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from rowspace.errors import InvalidRow, InvalidText, RowspaceError
from rowspace.services.models import DocumentIn
from rowspace.vectors import as_halfvec, as_vector
from rowspace.wire.values import storable_json, storable_text

__all__ = ["MAX_KEY", "Given", "bytes_of", "checked", "id_of", "long_texts", "sha256"]

Given = DocumentIn | Mapping[str, Any] | str

#: The number of characters below which no tsvector can be too long.
_LONG = 50_000
#: The maximum number of bytes of an id or another key: a B-tree entry has at most 2,704, including its overhead.
MAX_KEY = 2_600


def checked(given: Given, number: int, dimension: int, *, refused: str | None = None, **options: bool) -> DocumentIn:
    """Return a document as it will be read back, so that it can be compared with a stored one.

    Args:
        given: the document.
        number: the number of its row, for messages.
        dimension: what an embedding must have.
        refused: what is wrong with its content, where that is known.
        options: `strip_nul`: leave NUL bytes out of text, in place of an error; `half`: the index holds the numbers of
            an embedding as float16.

    Raises:
        InvalidRow, InvalidText, InvalidVector, DimensionMismatch: the message names the row.
    """
    _check_refused(given, number, refused)
    return _storable(_document(given, number), number, dimension, **options)


def long_texts(given: Sequence[Given]) -> dict[int, str]:
    """Return the texts that may be too long to be searched by keyword, by position; the server has to check them."""
    found = {}
    for at, item in enumerate(given):
        text = item.get("content") if isinstance(item, Mapping) else getattr(item, "content", item)
        if isinstance(text, str) and len(text) > _LONG and "\0" not in text:
            found[at] = text
    return found


def _check_refused(given: Given, number: int, reason: str | None) -> None:
    if reason is not None:
        id_ = given.get("id") if isinstance(given, Mapping) else getattr(given, "id", None)
        message = f"Row {number} (id {id_!r:.60}), content: {reason}"
        located = InvalidText(message).at("documents", number, "content")
        raise located


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


def _storable(
    document: DocumentIn, number: int, dimension: int, *, strip_nul: bool = False, half: bool = False
) -> DocumentIn:
    clean: dict[str, Any] = {}
    field = ""
    try:
        for field in ("id", "content"):
            clean[field] = storable_text(getattr(document, field) or "", strip_nul=strip_nul)
        field = "id"
        _check_id(clean["id"])
        field = "metadata"
        clean[field] = storable_json(document.metadata, strip_nul=strip_nul)
        field = "embedding"
        if document.embedding is not None:
            clean[field] = as_vector(document.embedding, dimension=dimension)
            if half:
                as_halfvec(clean[field])
    except RowspaceError as error:
        message = f"Row {number} (id {document.id!r:.80}), {field}: {error}"
        located = type(error)(message).at("documents", number, field)
        raise located from error
    return DocumentIn.model_construct(**clean)


def _check_id(id_: str) -> None:
    size = len(id_.encode())
    if size > MAX_KEY:
        message = f"an id can have at most {MAX_KEY:,} bytes, got {size:,}. Hash long ids, or number the documents."
        raise InvalidRow(message)


def id_of(document: DocumentIn) -> str:
    """Return the id of a document, or a hash of its text if it has none."""
    return document.id or hashlib.sha256(document.content.encode()).hexdigest()[:32]


def sha256(text: str) -> str:
    """Return the SHA-256 of a text, as PostgreSQL computes it for the stored text."""
    return hashlib.sha256(text.encode()).hexdigest()


def bytes_of(document: DocumentIn) -> bytes:
    """Return the complete contents of a document, for a hash."""
    vector: Any = document.embedding
    texts = [document.id, document.content, document.metadata]
    return json.dumps(texts, sort_keys=True).encode() + (b"" if vector is None else vector.tobytes())
