"""Documents from rows: which field is what, and every error with the number of its row.

No I/O of its own and no database: it takes an open file, or lines from any iterable. Rows of text are read by
`lines`, those of tables by `tables`.
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
    """Which field is what; all others become metadata, beside the keys of an object named `metadata`.

    Args:
        content: the field with the text; every document has it.
        id: the field with the id; None means `id`, where there is one.
        embedding: the field with the vector; None means that the text is embedded.
        dimension: numbers in a vector, where it is known.
        detect_types: take numbers, true and false in CSV for what they look like, and leave empty cells out.
        delimiter: what is between the cells of CSV; None for a comma, or in TSV a tab.
        strip_nul: leave NUL bytes out of text, in place of an error.
        ids: for a matrix, the file with the documents of its rows as JSON Lines, or with one id a line.
        hints: name the options of the command line in messages.
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
    """Yield the documents; see `numbered_documents`. A row that is none is an error."""
    return (document for _, document in numbered_documents(lines, format_, fields, Watch(format_.unit)))


def numbered_documents(lines: Any, format_: Format, fields: Fields, watch: Watch) -> Iterator[tuple[int, DocumentIn]]:
    """Yield the documents in lines of UTF-8, or in an open file, each with the number of its row.

    Vectors have one dimension: that of the fields, or else that of the first one.

    Args:
        lines: the lines.
        format_: how they are written.
        fields: which field is what.
        watch: takes the rows that are no document.

    Raises:
        InvalidRow: a row that is none, where nobody takes it; the message begins with its number, 1 for the first.
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
    """Return a row as it was, with its vector."""
    return row if vector is None else {**row, str(fields.embedding): vector}


def _document(row: dict[str, Any], fields: Fields, vector: Any, watch: Watch) -> DocumentIn:
    """Return the document in a row; an array that is its vector has been checked."""
    content = _required(row, fields.content, "--content", hints=fields.hints)
    id_ = _required(row, fields.id, "--id", hints=fields.hints) if fields.id else row.pop("id", None)
    if fields.embedding and vector is None:
        vector = _vector(_required(row, fields.embedding, "--embedding", hints=fields.hints), fields.dimension)
    if fields.embedding is None and is_vector(row.get(EMBEDDING)):
        # Of no use as metadata, where each number would be indexed.
        del row[EMBEDDING]
        watch.left_out(EMBEDDING)
    nested = row.pop(METADATA, None)
    nested = {} if nested is None else nested
    metadata = _merged(nested, row) if isinstance(nested, Mapping) else {**row, METADATA: nested}
    # What pydantic would look at is known by now, and a vector stays an array: a list would be an object a number.
    document = DocumentIn.model_construct(content=_text(content), id=_id(id_), metadata=metadata, embedding=vector)
    _check_text(document, fields)
    return document


def _merged(metadata: Mapping[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    for key in metadata.keys() & fields.keys():
        if metadata[key] != fields[key]:
            message = f"{key!r} is in {METADATA!r} and beside it, with two values. Leave one of them out, or rename it."
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
    """Return whether a value is a list of numbers, or the text of one in CSV, as an export has it."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return False
    return isinstance(value, list) and len(value) > 1 and all(type(one) in {int, float} for one in value)


def _id(value: Any) -> str | None:
    return None if value is None or value == "" else _text(value)


def _text(value: Any) -> str:
    """Return text as it is, and of any other value what JSON has for it, a date or UUID without the quotes."""
    if isinstance(value, str):
        return value
    text = to_json(value)
    return str(json.loads(text)) if text.startswith('"') else text


def _vector(value: Any, dimension: int | None) -> Any:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            message = f"an embedding is a JSON array of numbers, got {value!r:.60}."
            raise ValueError(message) from None
    return Vector(dimension).coerce(value)


def _check_text(document: DocumentIn, fields: Fields) -> None:
    # All in one, which tells whether anything is wrong, before it is looked for. A NaN or an infinity is refused here.
    whole = f"{document.content}{document.id or ''}{to_json(document.metadata) if document.metadata else ''}"
    if is_text(whole) and "\\u0000" not in whole:
        return
    for text in (document.content, document.id or "", *_texts(document.metadata)):
        if "\0" in text and not fields.strip_nul:
            hint = ", or give --strip-nul" if fields.hints else ""
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
