"""Documents from JSON Lines and CSV: lines in, checked documents out, every error with the number of its line.

No I/O of its own and no database: it takes lines from any iterable. The command line and the pages use it.
What is a table and not lines is read by `_tables`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from pydantic import ValidationError

from rowspace.errors import InvalidRow
from rowspace.integrations._formats import Format
from rowspace.integrations._tables import matrix_rows, parquet_rows, path_of
from rowspace.services import DocumentIn
from rowspace.types import Vector
from rowspace.wire.encode import to_json, to_text

__all__ = ["Fields", "Format", "Rejected", "numbered_rows", "read"]

Numbered: TypeAlias = tuple[int, dict[str, Any]]

#: Called with the number of a bad line, the reason, and the row or its text.
Rejected: TypeAlias = Callable[[int, str, Any], None]

#: What follows `metadata` in a document that this command line printed.
_METADATA = "metadata"


@dataclass(frozen=True, slots=True)
class Fields:
    """Which field is what; all others become metadata, beside the keys of an object named `metadata`.

    Args:
        content: the field with the text; every document has it.
        id: the field with the id; None means `id`, where there is one.
        embedding: the field with the vector; None means that the text is embedded.
        dimension: numbers in a vector, where it is known.
        detect_types: take numbers, true and false in CSV for what they look like, and leave empty cells out.
        strip_nul: leave NUL bytes out of text, in place of an error.
        ids: for a matrix, the file with the documents of its rows as JSON Lines, or with one id a line.
        hints: name the options of the command line in messages.
    """

    content: str = "content"
    id: str | None = None
    embedding: str | None = None
    dimension: int | None = None
    detect_types: bool = False
    strip_nul: bool = False
    ids: str | None = None
    hints: bool = True


def read(lines: Any, format_: Format, fields: Fields, *, rejected: Rejected | None = None) -> Iterator[DocumentIn]:
    """Yield the documents in lines of UTF-8, or in an open file; vectors have one dimension.

    It is that of the fields, or else that of the first one.

    Args:
        lines: the lines.
        format_: how they are written.
        fields: which field is what.
        rejected: takes the lines that are no document, in place of an error.

    Raises:
        InvalidRow: a line that is none; the message begins with its number, which is 1 for the first.
    """
    refuse = rejected or _refuse
    for number, row, vector in _rows(lines, format_, fields, rejected):
        try:
            document = _document(dict(row), fields if vector is None else replace(fields, embedding=None))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            refuse(number, f"{where}: {first['msg']}, got {first['input']!r:.60}.", row)
            continue
        except ValueError as error:
            refuse(number, str(error), row)
            continue
        if fields.dimension is None and document.embedding is not None:
            fields = replace(fields, dimension=len(document.embedding))
        # As the array that it is: a list of numbers would be a Python object for each.
        yield document if vector is None else document.model_copy(update={"embedding": vector})


def _rows(
    lines: Any, format_: Format, fields: Fields, rejected: Rejected | None
) -> Iterator[tuple[int, dict[str, Any], Any]]:
    """Yield the number of each row, its values, and its vector where that is an array already."""
    if format_ is Format.PARQUET:
        yield from parquet_rows(lines, fields)
    elif format_ is Format.NPY:
        path = Path(fields.ids) if fields.ids is not None else path_of(lines).with_suffix(".ids.jsonl")
        with path.open("rb") as beside:
            yield from matrix_rows(lines, _beside(beside, path, fields), fields)
    else:
        for number, row in numbered_rows(lines, format_, fields, rejected=rejected):
            yield number, row, None


def numbered_rows(
    lines: Iterable[bytes], format_: Format, fields: Fields, *, rejected: Rejected | None = None
) -> Iterator[Numbered]:
    """Yield the rows of lines as they are written, each with the number of its line; errors are those of `read`."""
    refuse = rejected or _refuse
    text = _decoded(lines, None if rejected is None else "surrogateescape")
    return _json_rows(text, refuse) if format_ is Format.JSONL else _csv_rows(text, format_, fields, refuse)


def _beside(lines: Iterable[bytes], path: Path, fields: Fields) -> Iterator[Numbered]:
    if path.suffix == ".jsonl":
        yield from _json_rows(_decoded(lines), _refuse)
        return
    for number, line in enumerate(_decoded(lines), 1):
        yield number, {fields.id or "id": line.rstrip("\r\n"), fields.content: ""}


def _at(number: int, message: str) -> InvalidRow:
    return InvalidRow(f"line {number}: {message}")


def _refuse(number: int, reason: str, _row: Any) -> NoReturn:
    raise _at(number, reason)


def _decoded(lines: Iterable[bytes], errors: str | None = None) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        try:
            # A byte order mark comes first in what spreadsheets write.
            # A byte that is none becomes a lone surrogate where it is asked for, and its row is refused for that.
            yield line.decode("utf-8-sig" if number == 1 else "utf-8", errors or "strict")
        except UnicodeDecodeError as error:
            raise _at(number, f"not UTF-8: byte {error.object[error.start]:#04x} at {error.start + 1}.") from error


def _json_rows(lines: Iterable[str], refuse: Rejected) -> Iterator[Numbered]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            refuse(number, f"not JSON: {error}.", line.strip())
            continue
        if isinstance(row, dict):
            yield number, row
        else:
            refuse(number, f"expected a JSON object, got {line.strip()!r:.60}.", row)


def _csv_rows(lines: Iterable[str], format_: Format, fields: Fields, refuse: Rejected) -> Iterator[Numbered]:
    reader = csv.reader(lines, delimiter="\t" if format_ is Format.TSV else ",", strict=True)
    # Embeddings are longer than what the module allows in a cell by default.
    csv.field_size_limit(2**31 - 1)
    header: list[str] = []
    while True:
        # A quoted cell may hold line breaks: a row begins after the line on which the last one ended.
        began = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            if not header:
                raise _at(began, f"not CSV: {error}.") from error
            refuse(began, f"not CSV: {error}.", None)
            continue
        if row is None:
            return
        if not header:
            header = _header(row, began)
        elif len(row) == len(header):
            yield began, _whole_metadata(_csv_row(header, row, detect_types=fields.detect_types))
        elif row:
            refuse(began, f"{len(row)} cells under {len(header)} column names.", row)


def _header(row: list[str], number: int) -> list[str]:
    repeated = sorted({name for name in row if row.count(name) > 1})
    if repeated or not all(row):
        what = f"more than one column is called {repeated[0]!r}" if repeated and repeated[0] else "a column has no name"
        raise _at(number, f"{what}; the first line has to name the columns.")
    return row


def _csv_row(header: list[str], row: list[str], *, detect_types: bool) -> dict[str, Any]:
    if not detect_types:
        return dict(zip(header, row, strict=True))
    return {name: _detected(cell) for name, cell in zip(header, row, strict=True) if cell}


def _whole_metadata(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with the metadata that `rowspace export` wrote into one cell as the object that it is."""
    cell = row.get(_METADATA)
    if isinstance(cell, str) and cell.startswith("{"):
        with suppress(ValueError, RecursionError):
            return {**row, _METADATA: json.loads(cell)}
    return row


def _detected(cell: str) -> Any:
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError):
        return cell
    return value if isinstance(value, bool | int | float) and isfinite(value) else cell


def _document(row: dict[str, Any], fields: Fields) -> DocumentIn:
    content = _required(row, fields.content, "--content" if fields.hints else None)
    id_ = _required(row, fields.id, "--id" if fields.hints else None) if fields.id else row.pop("id", None)
    vector = _required(row, fields.embedding, "--embedding" if fields.hints else None) if fields.embedding else None
    nested = row.pop(_METADATA, {})
    metadata = {**nested, **row} if isinstance(nested, Mapping) else {**row, _METADATA: nested}
    document = DocumentIn(
        content=content if isinstance(content, str) else to_json(content),
        id=_id(id_),
        metadata=metadata,
        embedding=None if vector is None else _vector(vector, fields.dimension),
    )
    _check_text(document, fields)
    return document


def _required(row: dict[str, Any], name: str, option: str | None) -> Any:
    if row.get(name) is None:
        hint = f" Name the field: {option} FIELD." if option else ""
        message = f"there is no {name!r}, only {', '.join(row) or 'nothing'}.{hint}"
        raise ValueError(message)
    return row.pop(name)


def _id(value: Any) -> str | None:
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else to_json(value)


def _vector(value: Any, dimension: int | None) -> Any:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            message = f"an embedding is a JSON array of numbers, got {value!r:.60}."
            raise ValueError(message) from None
    return Vector(dimension).coerce(value).tolist()


def _check_text(document: DocumentIn, fields: Fields) -> None:
    to_json(document.metadata)  # refuses NaN and infinity
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
