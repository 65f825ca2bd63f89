"""Rows as the binary stream of `COPY ... FROM STDIN (FORMAT BINARY)`.

Format: PostgreSQL manual, COPY, "Binary Format". psycopg, asyncpg and psycopg2 send the same bytes. Types without a
fast encoder here are sent as text to a text column of the staging table, and cast when they are merged.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
import struct
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from psycopg import adapters
from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap, Dumper, PyFormat, Transformer
from sqlalchemy import Column, Null, types
from sqlalchemy.dialects import postgresql

from rowspace import vectors
from rowspace.errors import InvalidRow, InvalidText, RowspaceError
from rowspace.statements.identifiers import DIALECT, Schemas
from rowspace.statements.write import StagedColumn
from rowspace.types import Vector, VectorType, on_postgresql, stored_type, vector_type_of
from rowspace.wire.by_sql import stored_by
from rowspace.wire.values import all_json_bytes, json_bytes, to_text

__all__ = [
    "ColumnEncoder",
    "EncodedRows",
    "ddl_of",
    "encoder_of",
    "literal_of",
]

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"

_LENGTH = struct.Struct(">i").pack
_NULL = _LENGTH(-1)
_COUNT = struct.Struct(">h").pack
_length, _count = struct.Struct(">i").unpack_from, struct.Struct(">h").unpack_from

_VARYING = re.compile(r"\bN?VARCHAR\b(?:\(\d+\))?")
_PADDED = re.compile(r"\bN?CHAR\b(?:\(\d+\))?")
_BIT = re.compile(r"\bBIT(?: VARYING)?\(\d+\)")
_COLLATION = re.compile(r' COLLATE "(?:[^"]|"")*"')

#: The first and the maximum number of rows per block, and its target size in bytes: large enough that NumPy pays off,
#: small enough for the processor's cache.
_FIRST, _AT_ONCE, _BLOCK = 32, 500, 1 << 17

Encode = Callable[[Any], bytes | None]
EncodeMany = Callable[[Sequence[Any]], Sequence[Buffer]]
ToBytes = Callable[[Any], bytes]


@dataclass(frozen=True, slots=True)
class ColumnEncoder:
    """The encoding of one column: how it is staged, and the function that encodes a value; None is NULL."""

    staged: StagedColumn
    encode: Encode
    #: The type also encodes None, for example as JSON's null.
    encodes_none: bool
    #: Encodes many values that are not None at once, each with its length in front; it raises where `encode` might not.
    encode_many: EncodeMany | None = None


def encoder_of(
    column: Column[Any],
    *,
    dimension: int | None = None,
    schemas: Schemas = MappingProxyType({}),
    endless: bool = False,
) -> ColumnEncoder:
    """Return the encoder of a column: binary for vectors, text, JSON and numbers, text for any other type.

    Args:
        column: a column of a mapped table.
        dimension: the dimension of vectors if the column has none.
        schemas: translates the schema that an enum type names.
        endless: encode Python's first and last dates and times as infinite, as asyncpg does.

    Raises:
        ConfigurationError: the type's `bind_expression` has parameters of its own.
    """
    type_ = _type_of(column)
    if isinstance(type_, VectorType) and type_.dimension is None and dimension is not None:
        type_ = type(type_)(dimension)
    encodes_none = isinstance(type_, types.JSON | types.TypeDecorator)
    encode = _binary_encoder(type_)
    if encode is not None:
        # A cast cannot have a collation, and the column's own applies.
        staged_as = _COLLATION.sub("", ddl_of(type_, schemas))
        staged = StagedColumn(str(column.name), staged_as, stored_by=stored_by(column, type_, schemas))
        return ColumnEncoder(staged, encode, encodes_none, _many_of(type_))
    return ColumnEncoder(_as_text(column, type_, schemas), _text_encoder(type_, endless=endless), encodes_none)


def _type_of(column: Column[Any]) -> types.TypeEngine[Any]:
    type_ = on_postgresql(column.type)
    return vector_type_of(type_) or type_


def _as_text(column: Column[Any], type_: types.TypeEngine[Any], schemas: Schemas) -> StagedColumn:
    stored, around = stored_type(type_), stored_by(column, type_, schemas)
    item = stored_type(stored.item_type) if isinstance(stored, types.ARRAY) else stored
    is_local = isinstance(item, types.DateTime) and not item.timezone
    # An explicit cast to a domain truncates values that are too long for its base type; the cast of an INSERT does not.
    while isinstance(type_, postgresql.DOMAIN):
        type_ = type_.data_type
    # The SQL around the value casts it to its type.
    cast_to = _uncut(ddl_of(type_, schemas)) if around is None or is_local else None
    return StagedColumn(str(column.name), "TEXT", cast_to, is_local=is_local, stored_by=around)


def literal_of(column: Column[Any], value: Any, *, schemas: Schemas, endless: bool) -> str:
    """Return a value of a column as SQL text; takes the arguments of `encoder_of`."""
    if value is None:
        return "NULL"
    type_ = _type_of(column)
    data = _text_encoder(type_, endless=endless)(value)
    if data is None:
        return "NULL"
    text = data.decode()
    # With escapes, which do not depend on `standard_conforming_strings`.
    quoted = text.replace("\\", r"\\").replace("'", "''")
    return _as_text(column, type_, schemas).value(f"E'{quoted}'")


def ddl_of(type_: types.TypeEngine[Any], schemas: Schemas) -> str:
    """Return a type as DDL; takes the arguments of `encoder_of`."""
    if not schemas:
        return type_.compile(DIALECT)
    dialect: Any = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
    dialect.identifier_preparer.schema_for_object = lambda named: schemas.get(named.schema, named.schema)
    return type_.compile(dialect)


def _uncut(ddl: str) -> str:
    """Return a type to cast to without the column's length limit, because an explicit cast truncates."""
    # BPCHAR is CHAR without a limit: in TEXT, trailing spaces of a key would be significant.
    uncut = _PADDED.sub("BPCHAR", _VARYING.sub("TEXT", ddl))
    return _COLLATION.sub("", _BIT.sub("BIT VARYING", uncut))


def _binary_encoder(type_: types.TypeEngine[Any]) -> Encode | None:
    exact = type(type_)
    if isinstance(type_, VectorType):
        return lambda value: type_.to_binary(type_.coerce(value))
    if isinstance(type_, types.String) and exact in _TEXTS:
        return _text_of(type_.length)
    if exact in _JSONS:
        return _json_of(type_)
    # An enum that is not native is text.
    return _PLAIN.get(exact) if getattr(type_, "native_uuid", True) else None


def _many_of(type_: types.TypeEngine[Any]) -> EncodeMany | None:
    exact = type(type_)
    if isinstance(type_, Vector) and exact is Vector:
        return partial(_matrix, type_.dimension)
    return partial(_jsons, _version(type_)) if exact in _JSONS else None


def _version(type_: types.TypeEngine[Any]) -> bytes:
    """Return the prefix of the binary format of JSON."""
    return b"\x01" if isinstance(type_, postgresql.JSONB) else b""


def _json_of(type_: Any) -> Encode:
    prefix = _version(type_)
    none_as_null, json_null = type_.none_as_null, types.JSON.NULL

    def encode(value: Any) -> bytes | None:
        # None, JSON.NULL and null() mean the same as in an entity that a session adds.
        if (value is None and none_as_null) or isinstance(value, Null):
            return None
        return prefix + json_bytes(None if value is json_null else value)

    return encode


def _matrix(dimension: int | None, values: Sequence[Any]) -> Sequence[Buffer]:
    if not all(type(value) is np.ndarray and value.dtype.kind == "f" for value in values):
        message = "not all are arrays of floats."
        raise TypeError(message)
    # Takes a third of the time of `stack`.
    matrix = vectors.as_matrix(np.array(values), dimension=dimension)
    if not 1 <= matrix.shape[1] <= vectors.MAX_DIMENSION:
        message = "they have no dimension, or too many."
        raise TypeError(message)
    binary = vectors.matrix_to_binary(matrix, lead=4)
    rows, size = binary.shape
    binary[:, :4] = np.frombuffer(_LENGTH(size - 4), np.uint8)
    data = binary.data.cast("B")
    return [data[start : start + size] for start in range(0, rows * size, size)]


def _jsons(prefix: bytes, values: Sequence[Any]) -> Sequence[Buffer]:
    return [_LENGTH(len(prefix) + len(data)) + prefix + data for data in all_json_bytes(values)]


def _text_of(length: int | None) -> ToBytes:
    if length is None:
        return to_text

    def encode(value: Any) -> bytes:
        data = to_text(value)
        if len(data) > length and len(data.decode()) > length:
            message = f"expected at most {length} characters, got {len(data.decode())}."
            raise InvalidText(message)
        return data

    return encode


def _text_encoder(type_: types.TypeEngine[Any], *, endless: bool) -> Encode:
    """Encode with the type's bind processor and psycopg's text format, which the server casts."""
    # A dict for hstore becomes text too: psycopg needs a connection with that type registered.
    dialect = postgresql.psycopg.dialect(use_native_hstore=False)  # type: ignore[no-untyped-call]
    bind = type_.dialect_impl(dialect).bind_processor(dialect)
    transformer = Transformer(_Adapters(endless=endless))

    def encode(value: Any) -> bytes | None:
        processed = bind(value) if bind else value
        if processed is None:
            return None
        dumper: Any = transformer.get_dumper(processed, PyFormat.TEXT)
        return bytes(dumper.dump(processed))

    return encode


class _Adapters:
    """psycopg's text formats, except for text, bytes and intervals, also in arrays.

    Without a connection, psycopg escapes bytes for a quoted literal, which doubles backslashes and quotes, and does not
    know the server's interval style.
    """

    connection = None

    def __init__(self, *, endless: bool) -> None:
        class Text(Dumper):
            def dump(self, obj: Any) -> Buffer:
                return to_text(obj)

        class Bytes(Dumper):
            def dump(self, obj: Any) -> Buffer:
                return b"\\x" + bytes(obj).hex().encode()

        class Span(Dumper):
            def dump(self, obj: Any) -> Buffer:
                # With a sign for each field: with IntervalStyle sql_standard, the sign of the first applies to all.
                return f"{obj.days:+d} day {obj.seconds:+d} second {obj.microseconds:+d} microsecond".encode()

        class Moment(Dumper):
            def dump(self, obj: Any) -> Buffer:
                return _ENDS.get(obj) or str(obj).encode()

        self.adapters = AdaptersMap(adapters)
        self.adapters.register_dumper(str, Text)
        self.adapters.register_dumper(dt.timedelta, Span)
        for moment in (dt.date, dt.datetime) if endless else ():
            self.adapters.register_dumper(moment, Moment)
        for kind in (bytes, bytearray, memoryview):
            self.adapters.register_dumper(kind, Bytes)


@dataclass(frozen=True, slots=True, eq=False)
class EncodedRows:
    """Rows as the blocks of one stream with header and trailer, encoded while it is read.

    A block is about 128 KiB: the server reads one while the next is encoded, and a socket buffers more than one.

    Args:
        columns: the encoder of each column, in the order of the COPY statement.
        rows: mappings with `keys`.
        keys: the key of each column in the rows.
        constants: encoded values of columns before these, the same in every row.
        numbers: the number of each row, for error messages.

    Raises:
        InvalidVector, InvalidText, InvalidRow: a value cannot be stored; the message starts with the row and the
            column.
    """

    columns: Sequence[ColumnEncoder]
    rows: Iterable[Mapping[str, Any]]
    keys: Sequence[str]
    constants: Sequence[bytes | None]
    numbers: Iterable[int]

    def __iter__(self) -> Iterator[bytes]:
        named = list(zip(self.keys, self.columns, strict=True))
        rows, numbers = iter(self.rows), iter(self.numbers)
        values = b"".join(map(_framed, self.constants))
        lead = _COUNT(len(self.constants) + len(self.columns)) + values
        yield HEADER
        at_once = _FIRST
        while some := list(itertools.islice(rows, at_once)):
            block = _block(lead, named, some, list(itertools.islice(numbers, len(some))))
            yield block
            at_once = max(1, min(_AT_ONCE, at_once * _BLOCK // len(block)))
        yield TRAILER

    def values(self, most: int) -> list[bytes | None] | None:
        """Return the values of all rows in sequence, each in the binary format of a parameter, None for NULL.

        Returns None if the stream exceeds `most` bytes.
        """
        blocks, size = [], 0
        for block in self:
            blocks.append(block)
            size += len(block)
            if size > most:
                return None
        stream, at, found = b"".join(blocks), len(HEADER), list[bytes | None]()
        while (count := _count(stream, at)[0]) >= 0:
            at += 2
            for _ in range(count):
                (size,) = _length(stream, at)
                at += 4
                found.append(None if size < 0 else stream[at : at + size])
                at += max(size, 0)
        return found


def _block(
    lead: bytes, named: Sequence[tuple[str, ColumnEncoder]], rows: Sequence[Mapping[str, Any]], numbers: Sequence[int]
) -> bytes:
    try:
        return _by_columns(lead, named, rows)
    except Exception:  # noqa: BLE001 -- one at a time, the row that it was is known, or none is wrong after all
        return _by_rows(lead, named, zip(numbers, rows, strict=True))


def _by_columns(lead: bytes, columns: Sequence[tuple[str, ColumnEncoder]], rows: Sequence[Mapping[str, Any]]) -> bytes:
    fields = [_fields(column, [row[key] for row in rows]) for key, column in columns]
    return b"".join(itertools.chain.from_iterable(zip(itertools.repeat(lead), *fields, strict=False)))


def _fields(column: ColumnEncoder, values: Sequence[Any]) -> Sequence[Buffer]:
    if column.encode_many is not None and all(value is not None for value in values):
        return column.encode_many(values)
    encode: Any = column.encode
    if column.encodes_none:
        return [_NULL if (data := encode(value)) is None else _LENGTH(len(data)) + data for value in values]
    return [_NULL if value is None else _LENGTH(len(data := encode(value))) + data for value in values]


def _framed(data: bytes | None) -> bytes:
    return _NULL if data is None else _LENGTH(len(data)) + data


def _by_rows(
    lead: bytes, columns: Sequence[tuple[str, ColumnEncoder]], rows: Iterable[tuple[int, Mapping[str, Any]]]
) -> bytes:
    parts = []
    for number, row in rows:
        parts.append(lead)
        for key, column in columns:
            # Any exception: a type's own processing can raise any for an invalid value.
            try:
                value = row[key]
                data = None if value is None and not column.encodes_none else column.encode(value)
            except Exception as error:
                what = _fault(error, column, row[key]) if key in row else "is missing."
                raise _located(type(error), number, row, f"{column.staged.name!r}: {what}") from error
            parts.append(_framed(data))
    return b"".join(parts)


def _fault(error: Exception, column: ColumnEncoder, value: Any) -> str:
    # The message of struct names neither the value nor the type.
    told = isinstance(error, struct.error)
    return f"expected a value of {column.staged.staged_as}, got {value!r:.60}." if told else str(error)


def _located(error: type[Exception], number: int, row: Mapping[str, Any], what: str) -> RowspaceError:
    kind = error if issubclass(error, RowspaceError) else InvalidRow
    identity = f" (id {row['id']!r})" if "id" in row else ""
    return kind(f"Row {number}{identity}, column {what}")


def _boolean(value: Any) -> bytes:
    # struct would accept any true object, also the text "false".
    if not isinstance(value, bool | np.bool_ | int) or value not in {True, False}:
        message = f"expected a bool, got {value!r:.60}."
        raise TypeError(message)
    return b"\x01" if value else b"\x00"


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    message = f"expected bytes, got {type(value).__name__}."
    raise TypeError(message)


def _uuid(value: Any) -> bytes:
    return (value if isinstance(value, uuid.UUID) else uuid.UUID(value)).bytes


#: The values that asyncpg reads as the ends of Python's calendar, without a time zone and in UTC.
_ENDS: dict[Any, bytes] = {
    end: word
    for kind in (dt.date, dt.datetime)
    for last, word in ((kind.max, b"infinity"), (kind.min, b"-infinity"))
    for end in (last, *([last.replace(tzinfo=dt.UTC)] if isinstance(last, dt.datetime) else []))
}
_TEXTS = {types.Text, types.String, types.Unicode, types.UnicodeText, types.TEXT, types.VARCHAR}
_JSONS = {postgresql.JSONB, types.JSON, postgresql.JSON}
_PLAIN: dict[type[Any], Encode] = {
    types.SmallInteger: struct.Struct(">h").pack,
    types.SMALLINT: struct.Struct(">h").pack,
    types.Integer: struct.Struct(">i").pack,
    types.INTEGER: struct.Struct(">i").pack,
    types.BigInteger: struct.Struct(">q").pack,
    types.BIGINT: struct.Struct(">q").pack,
    types.Double: struct.Struct(">d").pack,
    types.DOUBLE_PRECISION: struct.Struct(">d").pack,
    types.REAL: struct.Struct(">f").pack,
    types.Boolean: _boolean,
    types.BOOLEAN: _boolean,
    types.LargeBinary: _bytes,
    postgresql.BYTEA: _bytes,
    types.Uuid: _uuid,
    types.UUID: _uuid,
}
