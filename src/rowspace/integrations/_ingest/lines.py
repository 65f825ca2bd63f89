"""Rows from lines of text: JSON Lines and CSV, each row with the number of the line that it begins on.

What the rows mean is up to `documents`.
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

#: The field with the whole metadata of a document.
METADATA = "metadata"
#: The field with the vector in what `rowspace export` writes.
EMBEDDING = "embedding"

#: How many names a message has.
_SHOWN = 20

#: What else may be between the names of columns, as an option takes it.
SEPARATORS = {";": "';'", "\t": "tab", "|": "'|'"}


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told of bad rows, and of how many rows there are.

    Args:
        unit: what a row is called in a message: `line` or `row`.
        rejected: takes bad rows, in place of an error.
        counted: called with the number of rows before the first one, where the file tells it.
        left_out: called with the name of a field of vectors that nobody asked for.
    """

    unit: str = "line"
    rejected: Rejected | None = None
    counted: Callable[[int], Any] = lambda _: None
    left_out: Callable[[str], Any] = lambda _: None

    def refuse(self, number: int, reason: str, row: Any) -> None:
        """Hand over a bad row.

        Raises:
            InvalidRow: nobody takes it.
        """
        if self.rejected is None:
            message = f"{self.unit} {number}: {reason}"
            raise InvalidRow(message)
        self.rejected(number, reason, row)

    @property
    def errors(self) -> str:
        """How bytes that are not UTF-8 are decoded: as lone surrogates, for which their row is refused later."""
        return "strict" if self.rejected is None else "surrogateescape"


def numbered_rows(lines: Iterable[bytes], format_: Format, fields: Fields, watch: Watch) -> Iterator[Numbered]:
    """Yield the rows of lines as they are written.

    Args:
        lines: the lines, in UTF-8.
        format_: JSON Lines, CSV or TSV.
        fields: how cells are read.
        watch: takes the rows that are none.

    Raises:
        InvalidRow: a line that is none, where nobody takes it; the message begins with its number, 1 for the first.
    """
    text = decoded(lines, watch.errors)
    return _json_rows(text, watch) if format_ is Format.JSONL else _csv_rows(text, format_, fields, watch)


def decoded(lines: Iterable[bytes], errors: str) -> Iterator[str]:
    """Yield lines of UTF-8 as text.

    Raises:
        InvalidRow: a line that is none, where `errors` is strict.
    """
    for number, line in enumerate(lines, 1):
        try:
            # A byte order mark comes first in what spreadsheets write.
            yield line.decode("utf-8-sig" if number == 1 else "utf-8", errors)
        except UnicodeDecodeError as error:
            place = f"byte {error.object[error.start]:#04x} at {error.start + 1}"
            message = f"line {number}: not UTF-8: {place}. {_encoding_hint(line)}"
            raise InvalidRow(message) from error


def _encoding_hint(line: bytes) -> str:
    if line.startswith(b"\x1f\x8b"):
        return "It is packed: unpack it first, as in: gzip -dc."
    name = "UTF-16" if line.startswith((b"\xff\xfe", b"\xfe\xff")) else "LATIN1"
    return f"Convert it first, as in: iconv -f {name} -t UTF-8."


def json_row(number: int, line: str, watch: Watch) -> dict[str, Any] | None:
    """Return the object in a line, or None where it is refused."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        hint = " A line holds one whole object." if line.strip() in {"[", "{"} else ""
        watch.refuse(number, f"not JSON: {error}.{hint}", line.strip())
        return None
    if isinstance(row, dict):
        return row
    hint = " Split the array first, as in: jq -c '.[]'." if isinstance(row, list) else ""
    watch.refuse(number, f"expected a JSON object, got {line.strip()!r:.60}.{hint}", row)
    return None


def _json_rows(lines: Iterable[str], watch: Watch) -> Iterator[Numbered]:
    for number, line in enumerate(lines, 1):
        if line.strip() and (row := json_row(number, line, watch)) is not None:
            yield number, row


def _csv_rows(lines: Iterable[str], format_: Format, fields: Fields, watch: Watch) -> Iterator[Numbered]:
    reader = csv.reader(lines, delimiter=_delimiter(format_, fields), strict=True)
    # Embeddings are longer than what the module allows in a cell by default.
    csv.field_size_limit(2**31 - 1)
    header: list[str] = []
    while True:
        # A quoted cell may hold line breaks: a row begins after the line on which the last one ended.
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
    # What the module says of these is about how a file is opened in Python, and nothing of what is lost.
    if "new-line character" in str(error):
        return "a carriage return that ends no line"
    if "unexpected end of data" in str(error):
        lines = "this line is" if began == ended else f"lines {began:,} to {ended:,}, the last one, are"
        return f"a quote that is not closed: {lines} in one cell"
    return str(error)


def separator_hint(names: Sequence[str]) -> str | None:
    """Return what to do about a header that is one cell for want of the right separator."""
    found = next((shown for mark, shown in SEPARATORS.items() if len(names) == 1 and mark in names[0]), None)
    return found and f"What is between the columns is told by --delimiter {found}."


def repeated(names: Iterable[str]) -> list[str]:
    """Return the names that come more than once, in the order of the alphabet."""
    return sorted(name for name, times in Counter(names).items() if times > 1)


def named(names: Collection[str]) -> str:
    """Return names for a message: the first ones, and how many more there are."""
    shown = ", ".join(f"{name!r:.60}" for name in islice(names, _SHOWN))
    return f"{shown} and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else shown or "nothing"


def _header(row: list[str], number: int) -> list[str]:
    twice = repeated(row)
    if twice or not all(row):
        what = f"more than one column is called {twice[0]!r}" if twice and twice[0] else "a column has no name"
        message = f"line {number}: {what}; the first line has to name the columns."
        raise InvalidRow(message)
    return row


def _csv_row(header: list[str], row: list[str], *, detect_types: bool) -> dict[str, Any]:
    if not detect_types:
        return dict(zip(header, row, strict=True))
    return {name: _detected(cell) for name, cell in zip(header, row, strict=True) if cell}


def whole_metadata(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with the metadata that is a JSON object in one cell as the object that it is."""
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
    # A whole number may be larger than any float.
    return value if isinstance(value, int) or (isinstance(value, float) and isfinite(value)) else cell
