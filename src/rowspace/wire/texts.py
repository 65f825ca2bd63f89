"""Convert PostgreSQL's text format to the values that SQLAlchemy returns."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import uuid
from collections.abc import Callable
from typing import Any

from psycopg import DataError, adapters
from psycopg.adapt import Transformer
from psycopg.pq import Format
from sqlalchemy import types
from sqlalchemy.dialects.postgresql.ranges import AbstractRange

from rowspace.errors import InvalidRow
from rowspace.types import psycopg_dialect, stored_type

__all__ = ["value_reader"]

#: The OID of numeric, which SQLAlchemy's types for numbers need to know.
_NUMERIC_OID = 1700

#: Convert a text to the value that the driver would return. The first class counts: Float is a subclass of Numeric.
_PARSERS: tuple[tuple[type[Any], Callable[[str], Any]], ...] = (
    (types.String, str),
    (types.Boolean, lambda text: text == "true"),
    (types.Integer, int),
    (types.Float, float),
    (types.Numeric, decimal.Decimal),
    (types.DateTime, dt.datetime.fromisoformat),
    (types.Date, dt.date.fromisoformat),
    (types.Time, dt.time.fromisoformat),
    (types.Uuid, uuid.UUID),
    (types.JSON, json.loads),
    (types.LargeBinary, lambda text: bytes.fromhex(text.removeprefix("\\x"))),
)


def value_reader(type_: types.TypeEngine[Any]) -> Callable[[str], Any]:
    """Return a function that converts text to the value of a column; for unknown types, the text is the value.

    The function raises:
        InvalidRow: Python cannot represent the value, such as an infinite date.
    """
    stored = stored_type(type_)
    parse = next((parse for known, parse in _PARSERS if isinstance(stored, known)), None)
    if isinstance(stored, AbstractRange):
        parse = _range_parser(stored)
    if parse is None:
        return str
    if isinstance(stored, types.Uuid) and not stored.native_uuid:
        # Text in the database too, from which the type creates its values.
        parse = str
    dialect = psycopg_dialect()
    process = type_.dialect_impl(dialect).result_processor(dialect, _NUMERIC_OID)

    def read(text: str) -> Any:
        try:
            value = parse(text)
        except (ValueError, DataError) as error:
            message = f"{text!r:.60} cannot be read as {type_!r}: {error}."
            raise InvalidRow(message) from error
        return value if process is None else process(value)

    return read


def _range_parser(type_: AbstractRange[Any]) -> Callable[[str], Any]:
    oid = adapters.types[type_.compile(psycopg_dialect()).lower()].oid
    load = Transformer().get_loader(oid, Format.TEXT).load
    return lambda text: load(text.encode())
