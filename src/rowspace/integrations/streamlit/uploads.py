"""An uploaded file: its fields, and its documents one by one. No Streamlit, no database."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import PurePath
from typing import Any, BinaryIO

from rowspace.errors import ConfigurationError, InvalidRow
from rowspace.integrations._ingest.documents import Fields, read
from rowspace.integrations._ingest.formats import Format
from rowspace.integrations._ingest.lines import SEPARATORS, Watch, numbered_rows
from rowspace.services import DocumentIn

__all__ = ["SUFFIXES", "Upload", "guessed", "passages"]

#: Supported formats, by suffix of the file name. None means plain text.
SUFFIXES = {
    "csv": Format.CSV,
    "tsv": Format.TSV,
    "jsonl": Format.JSONL,
    "ndjson": Format.JSONL,
    "txt": None,
    "md": None,
}

_TEXT_FIELDS = ("content", "text", "body", "description", "summary", "abstract", "title")


_END = re.compile(r"[.!?]\s|[。！？]")  # noqa: RUF001 -- Chinese and Japanese punctuation
_NO_SPACE = re.compile(r"\S")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file: its name, its bytes and its size."""

    name: str
    stream: BinaryIO
    size: int

    @property
    def format(self) -> Format | None:
        """The format of the documents; None for plain text.

        Raises:
            ConfigurationError: the suffix of the name is not supported.
        """
        suffix = PurePath(self.name).suffix.lower().removeprefix(".")
        if suffix not in SUFFIXES:
            message = f"{self.name!r} has no supported suffix, expected a name that ends in .{', .'.join(SUFFIXES)}."
            raise ConfigurationError(message)
        return SUFFIXES[suffix]

    @property
    def is_text(self) -> bool:
        """Whether the file is plain text."""
        return self.format is None

    def first(self, count: int = 20) -> list[dict[str, Any]]:
        """Return the first rows of a table, unconverted. Plain text has no rows.

        Raises:
            InvalidRow: one of the rows is invalid.
        """
        kind = self.format
        if kind is None:
            return []
        fields = self._separated(Fields())
        with self._named():
            return [row for _, row in islice(numbered_rows(self.stream, kind, fields, Watch()), count)]

    @property
    def share(self) -> float:
        """The share of the bytes that has been read."""
        return min(1.0, self.stream.tell() / max(1, self.size))

    def documents(self, fields: Fields, longest: int = 1_000) -> Iterator[DocumentIn]:
        """Yield the documents.

        Args:
            fields: the roles of the fields of a table.
            longest: the maximum length of a passage of plain text, in characters.

        Raises:
            InvalidRow: a line is invalid. The message contains the file name and the line number.
        """
        fields = self._separated(fields)
        with self._named():
            kind = self.format
            if kind is None:
                yield from passages(_text(self.stream), self.name, longest)
            else:
                yield from read(self.stream, kind, replace(fields, hints=False))

    def _separated(self, fields: Fields) -> Fields:
        """Return the fields with the separator of the columns, and rewind the file."""
        # In many countries, spreadsheets write CSV with another separator. The page has no option for it.
        self.stream.seek(0)
        header = self.stream.readline().decode("utf-8", "replace") if self.format is Format.CSV else ","
        self.stream.seek(0)
        found = None if "," in header else next((mark for mark in SEPARATORS if mark in header), None)
        return replace(fields, delimiter=found)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except InvalidRow as error:
            message = f"{self.name}, {error}"
            raise InvalidRow(message) from error


def guessed(names: list[str]) -> str:
    """Return the field that most likely contains the text."""
    lower = {name.lower(): name for name in reversed(names)}
    return next((lower[name] for name in _TEXT_FIELDS if name in lower), names[0])


def passages(text: str, name: str, longest: int = 1_000) -> Iterator[DocumentIn]:
    """Yield a text as documents of whole paragraphs, each of at most `longest` characters. Longer ones are split.

    The id of a document consists of the file name and its number, so loading the file again updates it.
    """
    paragraphs = (part.strip() for part in re.split(r"\n\s*\n", text))
    pieces = chain.from_iterable(_cut(part, longest) for part in paragraphs if part)
    for number, passage in enumerate(_packed(pieces, longest), 1):
        yield DocumentIn(id=f"{name}#{number:04}", content=passage, metadata={"file": name, "passage": number})


def _packed(pieces: Iterator[str], longest: int) -> Iterator[str]:
    held = ""
    for piece in pieces:
        if held and len(held) + 2 + len(piece) > longest:
            yield held
            held = piece
        else:
            held = f"{held}\n\n{piece}" if held else piece
    if held:
        yield held


def _cut(paragraph: str, longest: int) -> Iterator[str]:
    began = 0
    while len(paragraph) - began > longest:
        # Split after a sentence, otherwise at a space, otherwise anywhere.
        window = paragraph[began : began + longest]
        ends = [match.end() for match in _END.finditer(window)]
        at = ends[-1] if ends else window.rfind(" ")
        at = at if at > 0 else longest
        yield window[:at].strip()
        # Do not copy the rest, which can be megabytes.
        began = next(match.start() for match in _NO_SPACE.finditer(paragraph, began + at))
    yield paragraph[began:]


def _text(stream: BinaryIO) -> str:
    try:
        text = stream.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        message = f"line {line}: not UTF-8: byte {error.object[error.start]:#04x}."
        raise InvalidRow(message) from error
    before, nul, _ = text.partition("\0")
    if nul:
        line = before.count("\n") + 1
        message = f"line {line}: a NUL byte, which PostgreSQL cannot store. Remove it."
        raise InvalidRow(message)
    return text
