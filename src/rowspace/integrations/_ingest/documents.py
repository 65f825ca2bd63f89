"""Convert rows to documents: apply the roles of the fields, and add the row number to every error.

This module opens no files and needs no database: it accepts an open file, or lines from any iterable. `lines` reads
rows of text, and `tables` those of tables.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from rowspace.integrations._ingest.formats import Format
from rowspace.integrations._ingest.lines import (
    EMBEDDING,
    METADATA,
    Watch,
    named,
    numbered_rows,
    separator_hint,
)
from rowspace.integrations._ingest.tables import Row, matrix_rows, parquet_rows
from rowspace.repositories.given import is_text
from rowspace.services import DocumentIn
from rowspace.types import Vector
from rowspace.wire.values import to_json, to_text

__all__ = ["Fields", "is_vector", "numbered_documents", "read"]


@dataclass(frozen=True, slots=True)
class Fields:
    """The roles of the fields. All others become metadata, together with the keys of an object named `metadata`.

    Args:
        content: the field with the text, which every document must have.
        id: the field with the id; None means `id`, if it exists.
        embedding: the field with the vector; None means that the text is embedded.
        dimension: the length of a vector, if it is known.
        detect_types: convert numbers, true and false in CSV, and skip empty cells.
        delimiter: the delimiter of CSV; None means a comma, or a tab in TSV.
        strip_nul: remove NUL bytes from text, instead of raising an error.
        ids: for a matrix, the file with the documents of its rows as JSON Lines, or with one id per line.
        hints: whether messages mention options of the command line.
    """

    content: str = "content"
    id: str | None = None
    embedding: str | None = None
    dimension: int | None = None
    detect_types: bool = False
    delimiter: str | None = None
    strip_nul: bool = False
    ids: str | None = None
    hints: bool = True


def read(lines: Any, format_: Format, fields: Fields) -> Iterator[DocumentIn]:
    """Yield the documents; see `numbered_documents`. An invalid row is an error."""
    return (document for _, document in numbered_documents(lines, format_, fields, Watch(format_.unit)))


def numbered_documents(lines: Any, format_: Format, fields: Fields, watch: Watch) -> Iterator[tuple[int, DocumentIn]]:
    """Yield the documents in UTF-8 lines or an open file, each with its row number.

    All vectors must have the dimension of the fields, or that of the first vector.

    Args:
        lines: the lines or the file.
        format_: their format.
        fields: the roles of the fields.
        watch: receives invalid rows.

    Raises:
        InvalidRow: a row is invalid, and `watch` does not accept it. The message starts with its number, from 1.
    """
    for number, row, vector in _rows(lines, format_, fields, watch):
        try:
            document = _document(dict(row), fields, vector, watch)
        except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
            watch.refuse(number, str(error), _whole(row, fields, vector))
            continue
        if fields.dimension is None and document.embedding is not None:
            fields = replace(fields, dimension=len(document.embedding))
        yield number, document


def _rows(lines: Any, format_: Format, fields: Fields, watch: Watch) -> Iterator[Row]:
    if format_ is Format.PARQUET:
        return parquet_rows(lines, fields, watch)
    if format_ is Format.NPY:
        return matrix_rows(lines, fields, watch)
    return ((number, row, None) for number, row in numbered_rows(lines, format_, fields, watch))


def _whole(row: dict[str, Any], fields: Fields, vector: Any) -> dict[str, Any]:
    """Return a row in its original form, with its vector."""
    return row if vector is None else {**row, str(fields.embedding): vector}


def _document(row: dict[str, Any], fields: Fields, vector: Any, watch: Watch) -> DocumentIn:
    """Return the document of a row. If its vector is an array, it has already been checked."""
    content = _required(row, fields.content, "--content", hints=fields.hints)
    id_ = _required(row, fields.id, "--id", hints=fields.hints) if fields.id else row.pop("id", None)
    if fields.embedding and vector is None:
        vector = _vector(_required(row, fields.embedding, "--embedding", hints=fields.hints), fields.dimension)
    if fields.embedding is None and is_vector(row.get(EMBEDDING)):
        # As metadata it would be useless, and each number would be indexed.
        del row[EMBEDDING]
        watch.left_out(EMBEDDING)
    nested = row.pop(METADATA, None)
    nested = {} if nested is None else nested
    metadata = _merged(nested, row) if isinstance(nested, Mapping) else {**row, METADATA: nested}
    # The values are validated here, and a vector stays an array. A list would need an object per number.
    document = DocumentIn.model_construct(content=_text(content), id=_id(id_), metadata=metadata, embedding=vector)
    _check_text(document, fields)
    return document


def _merged(metadata: Mapping[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    for key in metadata.keys() & fields.keys():
        if metadata[key] != fields[key]:
            message = f"{key!r} has one value in {METADATA!r} and another next to it. Omit one, or rename it."
            raise ValueError(message)
    return {**metadata, **fields}


def _required(row: dict[str, Any], name: str, option: str, *, hints: bool) -> Any:
    if row.get(name) is not None:
        return row.pop(name)
    if name in row:
        message = f"{name!r} is null."
        raise ValueError(message)
    message = f"there is no {name!r}, only {named(row)}."
    if hints:
        message += f" {separator_hint([*row]) or f'Name the field: {option} FIELD.'}"
    raise ValueError(message)


def is_vector(value: Any) -> bool:
    """Return whether a value is a list of numbers, or its JSON text, as in an exported CSV file."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return False
    return isinstance(value, list) and len(value) > 1 and all(type(one) in {int, float} for one in value)


def _id(value: Any) -> str | None:
    return None if value is None or value == "" else _text(value)


def _text(value: Any) -> str:
    """Return text unchanged, and other values as JSON, but a date or UUID without quotes."""
    if isinstance(value, str):
        return value
    text = to_json(value)
    return str(json.loads(text)) if text.startswith('"') else text


def _vector(value: Any, dimension: int | None) -> Any:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            message = f"expected an embedding as a JSON array of numbers, got {value!r:.60}."
            raise ValueError(message) from None
    return Vector(dimension).coerce(value)


def _check_text(document: DocumentIn, fields: Fields) -> None:
    # Check everything at once first, and search for the fault only if there is one. NaN and infinity fail here.
    whole = f"{document.content}{document.id or ''}{to_json(document.metadata) if document.metadata else ''}"
    if is_text(whole) and "\\u0000" not in whole:
        return
    for text in (document.content, document.id or "", *_texts(document.metadata)):
        if "\0" in text and not fields.strip_nul:
            hint = ", or pass --strip-nul" if fields.hints else ""
            message = f"a NUL byte in {text!r:.60}, which PostgreSQL cannot store. Remove it{hint}."
            raise ValueError(message)
        to_text(text.replace("\0", ""))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from chain.from_iterable(map(_texts, (*value.keys(), *value.values())))
    elif isinstance(value, list):
        yield from chain.from_iterable(map(_texts, value))
