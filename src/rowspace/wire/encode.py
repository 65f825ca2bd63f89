"""Rows as the binary stream of `COPY ... FROM STDIN (FORMAT BINARY)`.

Format: PostgreSQL's manual, COPY, "Binary Format". The same bytes go through psycopg, asyncpg and psycopg2. What has
no fast encoder here is sent as text into a text column of the staging table, and cast on the way out of it.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
import struct
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from psycopg.adapt import PyFormat, Transformer
from sqlalchemy import Column, types
from sqlalchemy.dialects import postgresql

from rowspace.errors import InvalidRow, InvalidText, RowspaceError
from rowspace.statements.write import StagedColumn
from rowspace.types import VectorType

__all__ = ["ColumnEncoder", "encode_rows", "encoder_of", "to_json", "to_text"]

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"

_LENGTH = struct.Struct(">i").pack
_NULL = _LENGTH(-1)

Encode = Callable[[Any], bytes]


@dataclass(frozen=True, slots=True)
class ColumnEncoder:
    """How one column travels: where it is staged, and the function that encodes a value."""

    staged: StagedColumn
    encode: Encode


def encoder_of(column: Column[Any], *, dimension: int | None = None, strip_nul: bool = False) -> ColumnEncoder:
    """Return the encoder of a column: binary for vectors, text, JSON and numbers, text for any other type.

    Args:
        column: a column of a mapped table.
        dimension: what vectors must have where the column does not say.
        strip_nul: leave NUL bytes out of text and JSON, in place of an error.
    """
    type_ = column.type
    if isinstance(type_, VectorType) and type_.dimension is None and dimension is not None:
        type_ = type(type_)(dimension)
    ddl = type_.compile(postgresql.dialect())  # type: ignore[no-untyped-call]
    encode = _binary_encoder(type_, strip_nul=strip_nul)
    if encode is not None:
        return ColumnEncoder(StagedColumn(str(column.name), ddl), encode)
    return ColumnEncoder(StagedColumn(str(column.name), "TEXT", ddl), _text_encoder(type_, strip_nul=strip_nul))


def _binary_encoder(type_: types.TypeEngine[Any], *, strip_nul: bool) -> Encode | None:
    exact = type(type_)
    if isinstance(type_, VectorType):
        return lambda value: type_.to_binary(type_.coerce(value))
    if exact in _TEXTS:
        return _strip_nul if strip_nul else to_text
    if exact in _JSONS:
        prefix = b"\x01" if exact is postgresql.JSONB else b""
        return lambda value: prefix + _json(value, strip_nul=strip_nul)
    return struct.Struct(_STRUCTS[exact]).pack if exact in _STRUCTS else None


def _text_encoder(type_: types.TypeEngine[Any], *, strip_nul: bool) -> Encode:
    """Encode through the type's own processing and psycopg's text form, which the server reads by the cast."""
    dialect = postgresql.psycopg.dialect()  # type: ignore[no-untyped-call]
    bind = type_.dialect_impl(dialect).bind_processor(dialect)
    transformer = Transformer()
    text = _strip_nul if strip_nul else to_text

    def encode(value: Any) -> bytes:
        processed = bind(value) if bind else value
        if isinstance(processed, str):
            return text(processed)
        dumper: Any = transformer.get_dumper(processed, PyFormat.TEXT)
        return bytes(dumper.dump(processed))

    return encode


def encode_rows(columns: Sequence[ColumnEncoder], rows: Iterable[Mapping[str, Any]], *, first: int = 0) -> bytes:
    """Return rows, mappings by column name, as one complete stream with its header and trailer.

    Args:
        columns: one encoder a column, in the order of the COPY statement.
        rows: the rows.
        first: the number of the first row, for error messages.

    Raises:
        InvalidVector, InvalidText: a value that cannot be stored; the message starts with the row and the column.
    """
    count = struct.pack(">h", len(columns))
    plan = [(column.staged.name, column.encode) for column in columns]
    parts = [HEADER]
    append = parts.append
    name = ""
    for number, row in enumerate(rows, first):
        append(count)
        try:
            for name, encode in plan:
                value = row[name]
                if value is None:
                    append(_NULL)
                else:
                    data = encode(value)
                    append(_LENGTH(len(data)))
                    append(data)
        except (RowspaceError, struct.error, KeyError, TypeError, ValueError, OverflowError) as error:
            raise _located(error, number, row, name) from error
    append(TRAILER)
    return b"".join(parts)


def _located(error: Exception, number: int, row: Mapping[str, Any], column: str) -> RowspaceError:
    kind = type(error) if isinstance(error, RowspaceError) else InvalidRow
    identity = f" (id {row['id']!r})" if "id" in row else ""
    what = "is missing." if isinstance(error, KeyError) else str(error)
    return kind(f"Row {number}{identity}, column {column!r}: {what}")


def to_text(value: Any) -> bytes:
    """Return text as UTF-8.

    Raises:
        InvalidText: not text, or with a NUL byte or a lone surrogate, which PostgreSQL cannot store.
    """
    if not isinstance(value, str):
        message = f"expected text, got {type(value).__name__}."
        raise InvalidText(message)
    if "\0" in value:
        message = "PostgreSQL cannot store a NUL byte in text. Remove it, or pass strip_nul=True."
        raise InvalidText(message)
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        message = f"the text holds a lone surrogate at index {error.start}, which is not valid Unicode."
        raise InvalidText(message) from None


def _strip_nul(value: Any) -> bytes:
    return to_text(value.replace("\0", "") if isinstance(value, str) else value)


def to_json(value: Any) -> str:
    """Return JSON text; dates, UUIDs, decimals and NumPy values become what JSON has for them.

    Raises:
        TypeError: a value that has no form in JSON.
        ValueError: a NaN or an infinity.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_jsonable)


def _json(value: Any, *, strip_nul: bool) -> bytes:
    text = to_json(value)
    # The escape may also be the text of a backslash and five letters, which is fine: only a real NUL is changed.
    if "\\u0000" in text and strip_nul:
        text = json.dumps(_without_nul(json.loads(text)), ensure_ascii=False)
    elif "\\u0000" in text and _without_nul(json.loads(text)) != json.loads(text):
        return to_text("\0")
    return to_text(text)


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(item) for key, item in value.items()}
    return value


def _jsonable(value: Any) -> Any:
    """Turn what JSON has no word for into what a filter would compare with: ISO text, numbers."""
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    message = f"{type(value).__name__} {value!r:.60} has no form in JSON."
    raise TypeError(message)


_TEXTS = {types.Text, types.String, types.Unicode, types.UnicodeText, types.TEXT, types.VARCHAR}
_JSONS = {postgresql.JSONB, types.JSON, postgresql.JSON}
_STRUCTS: dict[type[Any], str] = {
    types.SmallInteger: ">h",
    types.SMALLINT: ">h",
    types.Integer: ">i",
    types.INTEGER: ">i",
    types.BigInteger: ">q",
    types.BIGINT: ">q",
    types.Double: ">d",
    types.DOUBLE_PRECISION: ">d",
    types.REAL: ">f",
    types.Boolean: ">?",
    types.BOOLEAN: ">?",
}
