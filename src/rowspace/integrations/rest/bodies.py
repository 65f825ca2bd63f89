"""Read bodies: strict JSON, and NDJSON line by line, with no more in memory than the limits allow."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from rowspace.errors import RowspaceError
from rowspace.integrations.rest.errors import RequestFault, body_too_large
from rowspace.integrations.rest.models import DocumentBody
from rowspace.integrations.rest.problems import pointer_to, problem_of, said_of

__all__ = ["JSON", "NDJSON", "LineReader", "Meter", "media_type", "read_json"]

JSON = "application/json"

#: The media types of newline-delimited JSON; the first is the one in the documentation.
NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")

_REMEMBERED = 100_000

#: The byte order mark, which some editors and shells write before UTF-8 text.
_MARK = b"\xef\xbb\xbf"


def media_type(content_type: str | None) -> str:
    """Return the media type of a Content-Type header, without its parameters."""
    return (content_type or "").partition(";")[0].strip().lower()


def read_json(body: bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        RequestFault: the body is not JSON. NaN, lone surrogates, more than 200 levels and numbers of more than 4,300
            digits are not allowed either.
    """
    try:
        return from_json(body.removeprefix(_MARK), allow_inf_nan=False)
    except ValueError as error:
        raise RequestFault(HTTPStatus.BAD_REQUEST, f"The body is not JSON: {error}.") from error


class Meter:
    """Measures a body while it arrives, regardless of its Content-Length.

    Args:
        limit: the maximum size in bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._read = 0

    def announced(self, content_length: str | None) -> None:
        """Reject a body by its Content-Length, before reading any of it.

        Raises:
            RequestFault: the body is too large.
        """
        if content_length is not None and content_length.isdecimal() and int(content_length[:20]) > self._limit:
            raise body_too_large(self._limit)

    def read(self, chunk: bytes) -> bytes:
        """Count a chunk and return it.

        Raises:
            RequestFault: the body exceeds the limit.
        """
        self._read += len(chunk)
        if self._read > self._limit:
            raise body_too_large(self._limit)
        return chunk


class LineReader:
    """Turns chunks of an NDJSON body into documents.

    A line ends with a line feed, which is optional after the last line. Empty lines are skipped. Lines count from 1.

    Args:
        max_line: the maximum size of a line in bytes.
    """

    def __init__(self, max_line: int) -> None:
        self._max_line = max_line
        self._rest = bytearray()
        self._line = 0
        # Line numbers of the most recent documents. A load reads ahead by some thousand documents, and fails on one.
        self._lines: deque[int] = deque(maxlen=_REMEMBERED)
        self._documents = 0

    @contextmanager
    def lines_named(self) -> Iterator[None]:
        """Convert an error about a row of the load to one about its line.

        Raises:
            RequestFault: a document cannot be stored; the message names its line.
        """
        try:
            yield
        except RowspaceError as error:
            line = self._line_of(error)
            if line is None:
                raise
            detail = re.sub(r"^Row \d+", f"Line {line}", str(error))
            pointer = pointer_to(error.place[2:])
            raise RequestFault(problem_of(error).status, detail, line=line, pointer=pointer) from error

    def _line_of(self, error: RowspaceError) -> int | None:
        if error.place[:1] != ("documents",):
            return None
        index = int(error.place[1]) - (self._documents - len(self._lines))
        return self._lines[index] if 0 <= index < len(self._lines) else None

    def feed(self, chunk: bytes) -> Iterator[DocumentBody]:
        """Yield the documents of the lines that a chunk completes.

        Raises:
            RequestFault: a line is too long, or not a document; the message names it.
        """
        # Search only the new chunk for line feeds: a client can send a long line byte by byte.
        first, *others = chunk.split(b"\n")
        self._rest += first
        for other in others:
            line, self._rest = self._rest, bytearray(other)
            yield from self._document(line)
        if len(self._rest) > self._max_line:
            raise self._too_long(self._line + 1)

    def end(self) -> Iterator[DocumentBody]:
        """Yield the document of a last line without a line feed."""
        rest, self._rest = self._rest, bytearray()
        yield from self._document(rest)

    def _document(self, line: bytearray) -> Iterator[DocumentBody]:
        self._line += 1
        if len(line) > self._max_line:
            raise self._too_long(self._line)
        if self._line == 1:
            line = line.removeprefix(_MARK)
        if not line.strip():
            return
        try:
            value = from_json(bytes(line), allow_inf_nan=False)
        except ValueError as error:
            message = f"Line {self._line} is not JSON: {error}."
            raise RequestFault(HTTPStatus.BAD_REQUEST, message, line=self._line) from error
        try:
            document = DocumentBody.model_validate(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            pointer = pointer_to(first["loc"])
            message = f"Line {self._line}{pointer and ', '}{pointer}: {said_of(first)}."
            unfit = HTTPStatus.UNPROCESSABLE_ENTITY
            raise RequestFault(unfit, message, line=self._line, pointer=pointer) from error
        self._lines.append(self._line)
        self._documents += 1
        yield document

    def _too_long(self, number: int) -> RequestFault:
        detail = f"Line {number} is longer than the maximum of {self._max_line:,} bytes."
        closing = {"Connection": "close"}
        return RequestFault(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, line=number, headers=closing)
