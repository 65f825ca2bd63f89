"""Read rows from lines of text: JSON Lines and CSV. Each row has the number of its first line.

`documents` interprets the rows.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeAlias

from rowspace.errors import InvalidRow
from rowspace.integrations._ingest.formats import Format

if TYPE_CHECKING:
    from rowspace.integrations._ingest.documents import Fields

__all__ = [
    "EMBEDDING",
    "METADATA",
    "SEPARATORS",
    "Numbered",
    "Rejected",
    "Watch",
    "decoded",
    "json_row",
    "named",
    "numbered_rows",
    "repeated",
    "separator_hint",
    "whole_metadata",
]

Numbered: TypeAlias = tuple[int, dict[str, Any]]

#: Called with the number of a bad row, the reason, and the row or its text.
Rejected: TypeAlias = Callable[[int, str, Any], None]

#: The field with all metadata of a document.
METADATA = "metadata"
#: The field with the vector, as `rowspace export` writes it.
EMBEDDING = "embedding"

#: How many names a message lists.
_SHOWN = 20

#: Other common delimiters, and how to write them as an option.
SEPARATORS = {";": "';'", "\t": "tab", "|": "'|'"}


@dataclass(frozen=True, slots=True)
class Watch:
    """Receives invalid rows, and other facts about the file.

    Args:
        unit: the word for a row in messages: `line` or `row`.
        rejected: called with each invalid row, instead of raising an error.
        counted: called with the number of rows before the first one, if the file states it.
        left_out: called with the name of a vector field that was not requested.
    """

    unit: str = "line"
    rejected: Rejected | None = None
    counted: Callable[[int], Any] = lambda _: None
    left_out: Callable[[str], Any] = lambda _: None

    def refuse(self, number: int, reason: str, row: Any) -> None:
        """Pass on an invalid row.

        Raises:
            InvalidRow: `rejected` is None.
        """
        if self.rejected is None:
            message = f"{self.unit} {number}: {reason}"
            raise InvalidRow(message)
        self.rejected(number, reason, row)

    @property
    def errors(self) -> str:
        """How to decode invalid UTF-8: strictly, or as lone surrogates, so that the row is rejected later."""
        return "strict" if self.rejected is None else "surrogateescape"


def numbered_rows(lines: Iterable[bytes], format_: Format, fields: Fields, watch: Watch) -> Iterator[Numbered]:
    """Yield the rows of text lines, unconverted.

    Args:
        lines: the lines, in UTF-8.
        format_: JSON Lines, CSV or TSV.
        fields: how to read cells.
        watch: receives invalid rows.

    Raises:
        InvalidRow: a line is invalid, and `watch` does not accept it. The message starts with its number, from 1.
    """
    text = decoded(lines, watch.errors)
    return _json_rows(text, watch) if format_ is Format.JSONL else _csv_rows(text, format_, fields, watch)


def decoded(lines: Iterable[bytes], errors: str) -> Iterator[str]:
    """Decode lines of UTF-8.

    Raises:
        InvalidRow: a line is not UTF-8, and `errors` is strict.
    """
    for number, line in enumerate(lines, 1):
        try:
            # Spreadsheets write a byte order mark first.
            yield line.decode("utf-8-sig" if number == 1 else "utf-8", errors)
        except UnicodeDecodeError as error:
            place = f"byte {error.object[error.start]:#04x} at {error.start + 1}"
            message = f"line {number}: not UTF-8: {place}. {_encoding_hint(line)}"
            raise InvalidRow(message) from error


def _encoding_hint(line: bytes) -> str:
    if line.startswith(b"\x1f\x8b"):
        return "It is compressed. Decompress it first: gzip -dc."
    name = "UTF-16" if line.startswith((b"\xff\xfe", b"\xfe\xff")) else "LATIN1"
    return f"Convert it first, for example: iconv -f {name} -t UTF-8."


def json_row(number: int, line: str, watch: Watch) -> dict[str, Any] | None:
    """Return the object in a line, or None if the line is rejected."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        hint = " Each line must contain a complete object." if line.strip() in {"[", "{"} else ""
        watch.refuse(number, f"not JSON: {error}.{hint}", line.strip())
        return None
    if isinstance(row, dict):
        return row
    hint = " Split the array first: jq -c '.[]'." if isinstance(row, list) else ""
    watch.refuse(number, f"expected a JSON object, got {line.strip()!r:.60}.{hint}", row)
    return None


def _json_rows(lines: Iterable[str], watch: Watch) -> Iterator[Numbered]:
    for number, line in enumerate(lines, 1):
        if line.strip() and (row := json_row(number, line, watch)) is not None:
            yield number, row


def _csv_rows(lines: Iterable[str], format_: Format, fields: Fields, watch: Watch) -> Iterator[Numbered]:
    reader = csv.reader(lines, delimiter=_delimiter(format_, fields), strict=True)
    # Embeddings exceed the default size limit of a cell.
    csv.field_size_limit(2**31 - 1)
    header: list[str] = []
    while True:
        # A quoted cell can contain line breaks. A row starts after the last line of the previous one.
        began = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            reason = f"not CSV: {_csv_reason(error, began, reader.line_num)}."
            if not header:
                message = f"line {began}: {reason}"
                raise InvalidRow(message) from error
            watch.refuse(began, reason, None)
            continue
        if row is None:
            return
        if not header:
            header = _header(row, began)
        elif len(row) == len(header):
            yield began, whole_metadata(_csv_row(header, row, detect_types=fields.detect_types))
        elif row:
            hint = (fields.hints and separator_hint(header)) or ""
            watch.refuse(began, f"{len(row)} cells under {len(header)} column names.{hint and ' '}{hint}", row)


def _delimiter(format_: Format, fields: Fields) -> str:
    return fields.delimiter or ("\t" if format_ is Format.TSV else ",")


def _csv_reason(error: csv.Error, began: int, ended: int) -> str:
    # The csv module's messages for these are about opening a file in Python, not about the file's content.
    if "new-line character" in str(error):
        return "a carriage return that does not end a line"
    if "unexpected end of data" in str(error):
        lines = "this line is" if began == ended else f"lines {began:,} to {ended:,} (the last one) are"
        return f"a quote is not closed, so {lines} in one cell"
    return str(error)


def separator_hint(names: Sequence[str]) -> str | None:
    """Return a hint if the header is a single cell because of a wrong delimiter."""
    found = next((shown for mark, shown in SEPARATORS.items() if len(names) == 1 and mark in names[0]), None)
    return found and f"If the delimiter is different, pass --delimiter {found}."


def repeated(names: Iterable[str]) -> list[str]:
    """Return the names that occur more than once, in alphabetical order."""
    return sorted(name for name, times in Counter(names).items() if times > 1)


def named(names: Collection[str]) -> str:
    """Return names for a message: the first ones, and the number of the others."""
    shown = ", ".join(f"{name!r:.60}" for name in islice(names, _SHOWN))
    return f"{shown} and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else shown or "nothing"


def _header(row: list[str], number: int) -> list[str]:
    twice = repeated(row)
    if twice or not all(row):
        what = f"more than one column is named {twice[0]!r}" if twice and twice[0] else "a column has no name"
        message = f"line {number}: {what}. The first line must contain unique column names."
        raise InvalidRow(message)
    return row


def _csv_row(header: list[str], row: list[str], *, detect_types: bool) -> dict[str, Any]:
    if not detect_types:
        return dict(zip(header, row, strict=True))
    return {name: _detected(cell) for name, cell in zip(header, row, strict=True) if cell}


def whole_metadata(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its metadata as an object if it is a JSON object in a cell."""
    cell = row.get(METADATA)
    if isinstance(cell, str) and cell.startswith("{"):
        with suppress(ValueError, RecursionError):
            return {**row, METADATA: json.loads(cell)}
    return row


def _detected(cell: str) -> Any:
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError):
        return cell
    # An integer can exceed the range of floats.
    return value if isinstance(value, int) or (isinstance(value, float) and isfinite(value)) else cell
