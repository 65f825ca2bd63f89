"""Record batches as the rows of a load: which column is which, what is wrong with them, and their values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sqlalchemy import Column, inspect
from sqlalchemy.dialects.postgresql import JSONB

from rowspace._optional import require
from rowspace.errors import DimensionMismatch, InvalidRow, InvalidVector, RowspaceError
from rowspace.integrations._arrow import arrow_type
from rowspace.integrations._metadata import ID, is_json
from rowspace.integrations._read import META, PREFIX
from rowspace.models import Collection, Document
from rowspace.repositories import TableRepository
from rowspace.vectors import fault_of, sound_rows
from rowspace.wire.columns import Kind, kind_of

__all__ = ["Rows", "check_vector_type", "is_text", "plain_values", "sound_vectors", "vectors_of"]

pa: Any = require("pyarrow", extra="arrow")

_DOCUMENT = ("id", "content", "embedding")


@dataclass(frozen=True, slots=True)
class Rows:
    """How the columns of record batches become attributes.

    Args:
        columns: by name in the batches, the column that it goes to.
        metadata: names of the batches that become metadata, with the key of each.
        objects: the name of a column of whole metadata objects, if there is one.
        keys: the attributes of the primary key.
        vector: the attribute of the vector column.
        dimension: numbers in a vector, where it is known.
        types: the Arrow types of the batches.
    """

    columns: Mapping[str, Column[Any]]
    metadata: Mapping[str, str]
    objects: str | None
    keys: tuple[str, ...]
    vector: str
    dimension: int | None
    types: Mapping[str, Any]
    #: The metadata of their schema.
    notes: Mapping[bytes, bytes]
    #: The names of columns of JSON text, of those that become metadata.
    json: frozenset[str]

    @classmethod
    def of(cls, schema: Any, over: Collection | None, tables: TableRepository | None) -> Rows:
        """Return how batches of a schema become rows of a model by its `tables`, or else of a collection.

        `over` is the collection, or None for a new one.

        Raises:
            InvalidRow, InvalidVector, DimensionMismatch: a column is missing, unknown, or of a wrong type.
        """
        known = _documents() if tables is None else dict(tables.columns)
        names = list(schema.names)
        has_meta = tables is None or (META in known and isinstance(known[META].type, JSONB))
        columns = {name: known[name] for name in names if name in known and not (has_meta and name == META)}
        whole = ("metadata", META) if has_meta else ()
        objects = next((name for name in whole if name in names and name not in columns), None)
        others = [name for name in names if name not in columns and name != objects]
        if others and not has_meta:
            message = f"There is no column {others[0]!r} to write to; there are {', '.join(known)}."
            raise InvalidRow(message)
        keys = ("id",) if tables is None else tables.keys
        vector = "embedding" if tables is None else tables.vector
        dimension = over.dimension if isinstance(over, Collection) else tables.dimension if tables else None
        metadata = {name: _key(name, {*known, "metadata"}) for name in others}
        types = {field.name: field.type for field in schema}
        text = frozenset(field.name for field in schema if is_json(field))
        rows = cls(columns, metadata, objects, keys, vector, dimension, types, schema.metadata or {}, text)
        rows.check_schema(known)
        return rows

    def check_schema(self, known: Mapping[str, Column[Any]]) -> None:
        """Look at names and types, by the columns that there are.

        Raises:
            InvalidRow, InvalidVector, DimensionMismatch: a column is missing, unknown, or of a wrong type.
        """
        for name, column in known.items():
            needed = not column.nullable and column.server_default is None and column.default is None
            if needed and name not in self.columns:
                given = ", ".join(self.types)
                message = f"There is no column {name!r}, only {given}. Name it: names={{'...': {name!r}}}."
                raise InvalidRow(message)
        for name, column in self.columns.items():
            if kind_of(column.type) is Kind.VECTOR:
                check_vector_type(name, self.types[name], self._dimension_of_column(name))
            elif not _may_become(self.types[name], column, is_key=name in self.keys):
                message = f"The column {name!r} is {self.types[name]}; {column.type!r} takes {arrow_type(column.type)}."
                raise InvalidRow(message)

    def _dimension_of_column(self, name: str) -> int | None:
        declared: Any = self.columns[name].type
        return declared.dimension or (self.dimension if name == self.vector else None)

    def of_dimension(self, dimension: int) -> Rows:
        """Return the same for vectors of a dimension."""
        return replace(self, dimension=dimension)

    def dimension_of(self, batch: Any) -> int | None:
        """Return the numbers in a vector by the type of the column, else by the first one of a batch."""
        type_ = self.types[self.vector]
        if pa.types.is_fixed_size_list(type_):
            return int(type_.list_size)
        if batch is None:
            return self.dimension
        first = next((value for value in batch.column(self.vector) if value.is_valid), None)
        return None if first is None else len(first)

    def kept(self) -> dict[str, Any]:
        """Return the types of the columns that will be JSON or text in the database."""
        kept = {key: self.types[name] for name, key in self.metadata.items() if name not in self.json}
        if not is_text(self.types["id"]):
            kept[ID] = self.types["id"]
        return kept

    def checked(self, batches: Iterable[Any]) -> Rows:
        """Look at all rows before any is written, and return this with the dimension of the vectors.

        Raises:
            InvalidRow, InvalidVector, DimensionMismatch: the message names the row.
        """
        rows, number = self, 0
        seen: dict[Any, int] = {}
        for batch in batches:
            if rows.dimension is None and (dimension := rows.dimension_of(batch)) is not None:
                rows = rows.of_dimension(dimension)
            values = rows.values(batch, number)
            for at, key in enumerate(zip(*(values[name] for name in rows.keys), strict=True), number):
                if seen.setdefault(key, at) != at:
                    shown = key[0] if len(key) == 1 else key
                    message = f"Row {at}: the key {shown!r} is that of row {seen[key]} too; each key comes once."
                    raise InvalidRow(message)
            number += len(batch)
        return rows

    def of_batches(self, batches: Iterable[Any]) -> Iterator[dict[str, Any]]:
        """Yield the rows of batches; errors are those of `of_batch`."""
        number = 0
        for batch in batches:
            yield from self.of_batch(batch, number)
            number += len(batch)

    def of_batch(self, batch: Any, number: int) -> Iterator[dict[str, Any]]:
        """Yield the rows of a batch, whose first is row `number`.

        Raises:
            InvalidRow, InvalidVector, DimensionMismatch: the message names the row.
        """
        values = self.values(batch, number)
        if self.metadata or self.objects:
            values[META] = list(self._metadata(batch, number))
        names = list(values)
        for row in zip(*values.values(), strict=True):
            yield dict(zip(names, row, strict=True))

    def values(self, batch: Any, number: int) -> dict[str, Any]:
        """Return the values of each column of the table, checked: a matrix for vectors, else a list."""
        return {name: self._column(batch.column(name), name, number) for name in self.columns}

    def _column(self, array: Any, name: str, number: int) -> Any:
        column = self.columns[name]
        if array.null_count and (not column.nullable or name in self.keys):
            at = int(np.argmax(array.is_null().to_numpy(zero_copy_only=False)))
            message = f"Row {number + at}: {name!r} is null, and every row needs one."
            raise InvalidRow(message)
        kind = kind_of(column.type)
        try:
            if kind is Kind.VECTOR:
                return vectors_of(array, self._dimension_of_column(name), number, name)
            if kind is Kind.TEXT and name in self.keys and not is_text(array.type):
                array = _plain(array).cast(pa.string())
            elif kind not in {Kind.TEXT, Kind.JSON, Kind.ARRAY}:
                array = _plain(array).cast(arrow_type(column.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            message = f"The column {name!r} cannot be written: {error}."
            raise InvalidRow(message) from error
        except RowspaceError as error:
            message = f"The column {name!r}: {error}"
            raise type(error)(message) from error
        values = array.to_pylist()
        return [_parsed(value) for value in values] if kind is Kind.JSON else values

    def _metadata(self, batch: Any, number: int) -> Iterator[dict[str, Any]]:
        keys = list(self.metadata.values())
        columns = [plain_values(batch, name) for name in self.metadata]
        objects = [{}] * len(batch) if self.objects is None else batch.column(self.objects).to_pylist()
        for at, whole in enumerate(objects, number):
            given = {} if whole is None else _parsed(whole)
            if not isinstance(given, Mapping):
                message = f"Row {at}: {self.objects!r} is {whole!r:.60}, which is no JSON object."
                raise InvalidRow(message)
            values = (column[at - number] for column in columns)
            yield {**given, **{key: value for key, value in zip(keys, values, strict=True) if value is not None}}


def plain_values(batch: Any, name: str) -> list[Any]:
    """Return the values of a column of a batch in Python's types; JSON text, where it is marked as such, parsed.

    Raises:
        InvalidRow: a time in nanoseconds that are none of a microsecond.
    """
    field = batch.schema.field(name)
    try:
        values: list[Any] = _plain(batch.column(name)).to_pylist()
    except pa.ArrowInvalid as error:
        message = f"The column {name!r} cannot be written: {error}."
        raise InvalidRow(message) from error
    return [_parsed(value) for value in values] if is_json(field) else values


def _documents() -> dict[str, Column[Any]]:
    columns = inspect(Document).columns
    return {name: columns[name] for name in _DOCUMENT}


def _key(name: str, reserved: set[str]) -> str:
    inner = name.removeprefix(PREFIX)
    return inner if inner in reserved else name


def check_vector_type(name: str, type_: Any, dimension: int | None) -> None:
    """Look at the type of a column of vectors; one that is all null has none.

    Raises:
        InvalidVector, DimensionMismatch: it is no list of numbers, or all of them are of another dimension.
    """
    check = pa.types
    if check.is_null(type_):
        return
    is_list = check.is_list(type_) or check.is_large_list(type_) or check.is_fixed_size_list(type_)
    storage = getattr(type_, "storage_type", type_)
    if storage is not type_:
        check_vector_type(name, storage, dimension)
        return
    if not is_list or not (check.is_floating(type_.value_type) or check.is_integer(type_.value_type)):
        message = f"The column {name!r} is {type_}; expected FixedSizeList<float32>, or lists of numbers."
        raise InvalidVector(message)
    if check.is_fixed_size_list(type_) and dimension is not None and type_.list_size != dimension:
        message = f"The column {name!r} has vectors of {type_.list_size} dimensions, expected {dimension}."
        raise DimensionMismatch(message)


def _may_become(type_: Any, column: Column[Any], *, is_key: bool) -> bool:
    """Tell whether values of an Arrow type may be meant for a column: text for text, numbers for numbers."""
    kind = kind_of(column.type)
    if kind in {Kind.JSON, Kind.ARRAY} or pa.types.is_null(type_):
        return True
    plain = type_.value_type if pa.types.is_dictionary(type_) else type_
    if column.type._type_affinity is not None and kind is Kind.TEXT:  # noqa: SLF001 -- text, or a type of its own
        return is_key or is_text(plain) or not issubclass(column.type.python_type, str)
    return not is_text(plain) and not pa.types.is_nested(plain)


def is_text(type_: Any) -> bool:
    """Tell whether a type is text, also where it is a dictionary of texts."""
    check = pa.types
    plain = type_.value_type if check.is_dictionary(type_) else type_
    return bool(check.is_string(plain) or check.is_large_string(plain) or check.is_string_view(plain))


def _plain(array: Any) -> Any:
    """Return an array without a dictionary, and with times in microseconds: nanoseconds have no type in Python."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_timestamp(array.type) and array.type.unit == "ns":
        return array.cast(pa.timestamp("us", array.type.tz))
    return array


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        message = f"expected JSON, got {value!r:.60}: {error}."
        raise InvalidRow(message) from error


def vectors_of(array: Any, dimension: int | None = None, number: int = 0, name: str = "embedding") -> Any:
    """Return the vectors of a list array as the rows of one matrix, None where there is none.

    Args:
        array: lists of numbers, by the rows.
        dimension: numbers in a vector; by default those of the first one.
        number: that of the first row, for messages.
        name: that of the column, for messages.

    Raises:
        InvalidVector, DimensionMismatch: the message names the row; or the array is none of lists of numbers.
    """
    vectors, errors = sound_vectors(array, dimension, name)
    if errors:
        at = min(errors)
        message = f"Row {number + at}: {errors[at]}"
        raise type(errors[at])(message) from errors[at]
    return vectors


def sound_vectors(
    array: Any, dimension: int | None = None, name: str = "embedding"
) -> tuple[Any, dict[int, InvalidVector]]:
    """Return the vectors of a list array, and by its position what is wrong with each row that holds a bad one.

    They are one matrix, or, where rows are null or wrong, a list with None for those.

    Raises:
        InvalidVector, DimensionMismatch: it is no array of lists of numbers, or all of them are of another dimension.
    """
    array = getattr(array, "storage", array)
    check_vector_type(name, array.type, dimension)
    if pa.types.is_null(array.type):
        return [None] * len(array), {}
    valid = ~array.is_null().to_numpy(zero_copy_only=False)
    sizes = np.where(valid, _sizes(array), -1)
    known = dimension or next((int(size) for size in sizes if size > 0), None)
    fits = sizes == known
    present = array if fits.all() else array.filter(pa.array(fits))
    # A null inside of a vector comes as a NaN.
    matrix, unsound = sound_rows(present.flatten().to_numpy(zero_copy_only=False).reshape(-1, known or 1))
    if fits.all() and not unsound:
        return matrix, {}
    wrong = [*np.flatnonzero(valid & ~fits), *np.flatnonzero(fits)[unsound]]
    faults = {int(at): fault_of(array[int(at)].as_py(), dimension=known) for at in wrong}
    rows = iter(matrix)
    vectors = [next(rows) if there else None for there in fits]
    for at in faults:
        vectors[at] = None
    return vectors, {at: fault for at, fault in faults.items() if fault is not None}


def _sizes(array: Any) -> Any:
    if pa.types.is_fixed_size_list(array.type):
        return np.full(len(array), array.type.list_size)
    return np.diff(array.offsets.to_numpy())
