"""Convert record batches to the rows of a load: map columns, check them, and extract values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sqlalchemy import Column, String, inspect, null

from rowspace._optional import require
from rowspace.errors import InvalidRow, RowspaceError
from rowspace.integrations._frames.columns import arrow_type
from rowspace.integrations._frames.metadata import ID, field_with_categories, is_json, is_row_number, key_of
from rowspace.integrations._frames.read import META, holds_metadata
from rowspace.integrations._frames.values import is_list, is_text, parsed, plain, to_python
from rowspace.integrations._frames.vectors import check_vector_type, sound_vectors, vectors_of
from rowspace.models import Collection, Document
from rowspace.repositories import TableRepository
from rowspace.repositories.batches import comes_by_itself
from rowspace.results import Reject
from rowspace.types import vector_type_of
from rowspace.wire.columns import Kind, kind_of

__all__ = ["DOCUMENT", "Rows", "json_values"]

pa: Any = require("pyarrow", extra="arrow")

_MOMENTS = {Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMP_UTC}

#: Types that avoid a lossy cast in Arrow, such as a number to infinity or 0.5 to true. The encoder checks the values.
_CHECKED_LATER = {Kind.FLOAT32: pa.float64(), Kind.BOOL: pa.int8()}

#: The columns of a collection that are not metadata.
DOCUMENT = ("id", "content", "embedding")


@dataclass(frozen=True, slots=True)
class Rows:
    """The mapping from columns of record batches to attributes.

    Args:
        columns: the target column for each name in the batches.
        metadata: the metadata key for each name that becomes metadata.
        objects: the name of a column of complete metadata objects, if there is one.
        keys: the attributes of the primary key; empty if the server generates them.
        vector: the attribute of the vector column.
        dimension: the length of a vector, if it is known.
        types: the Arrow type of each name in the batches.
    """

    columns: Mapping[str, Column[Any]]
    metadata: Mapping[str, str]
    objects: str | None
    keys: tuple[str, ...]
    vector: str
    dimension: int | None
    types: Mapping[str, Any]
    #: The metadata of the batches' schema.
    notes: Mapping[bytes, bytes]
    #: The names of columns of JSON text that become metadata.
    json: frozenset[str]

    @classmethod
    def of(cls, schema: Any, over: Collection | None, tables: TableRepository | None) -> Rows:
        """Return the mapping from a schema to a model, if `tables` is given, otherwise to a collection.

        `over` is the collection; None means a new one.

        Raises:
            InvalidRow, InvalidVector, DimensionMismatch: a column is missing, unknown, or of a wrong type.
        """
        known = _documents() if tables is None else dict(tables.columns)
        # Skip columns that the server computes.
        names = [name for name in schema.names if name not in known or known[name].computed is None]
        has_meta = tables is None or (META in known and holds_metadata(known[META]))
        columns = {name: known[name] for name in names if name in known and not (has_meta and name == META)}
        whole = ("metadata", META) if has_meta else ()
        objects = next((name for name in whole if name in names and name not in columns), None)
        others = [name for name in names if name not in columns and name != objects and not is_row_number(name)]
        if others and not has_meta:
            message = f"There is no column {others[0]!r} to write to. Columns: {', '.join(known)}."
            raise InvalidRow(message)
        primary = ("id",) if tables is None else tables.keys
        keys = primary if columns.keys() >= {*primary} else ()
        vector = "embedding" if tables is None else tables.vector
        dimension = over.dimension if isinstance(over, Collection) else tables.dimension if tables else None
        metadata = {name: key_of(name, {*known, "metadata"}) for name in others}
        types = {field.name: field.type for field in schema}
        text = frozenset(field.name for field in schema if is_json(field))
        rows = cls(columns, metadata, objects, keys, vector, dimension, types, schema.metadata or {}, text)
        rows.check_schema(known)
        return rows

    def check_schema(self, known: Mapping[str, Column[Any]]) -> None:
        """Check names and types against the existing columns.

        Raises:
            InvalidRow, InvalidVector, DimensionMismatch: a column is missing, unknown, or of a wrong type.
        """
        brought = {*self.columns, *([META] if self.metadata or self.objects else [])}
        for name, column in known.items():
            if not (column.nullable or comes_by_itself(column) or name in brought):
                given = ", ".join(self.types) or "nothing"
                message = f"There is no column {name!r}, only {given}. To rename one: names={{'...': {name!r}}}."
                raise InvalidRow(message)
        for name, column in self.columns.items():
            if kind_of(column.type) is Kind.VECTOR:
                check_vector_type(name, self.types[name], self._dimension_of_column(name))
            elif not _may_become(self.types[name], column, is_key=name in self.keys):
                message = f"The column {name!r} is {self.types[name]}; {column.type!r} takes {arrow_type(column.type)}."
                raise InvalidRow(message)

    def _dimension_of_column(self, name: str) -> int | None:
        declared = vector_type_of(self.columns[name].type)
        return (declared and declared.dimension) or (self.dimension if name == self.vector else None)

    def of_dimension(self, dimension: int) -> Rows:
        """Return the same mapping for vectors of this dimension."""
        return replace(self, dimension=dimension)

    def dimension_of(self, batch: Any) -> int | None:
        """Return the length of a vector, from the type of the column or the first vector of a batch."""
        type_ = getattr(self.types[self.vector], "storage_type", self.types[self.vector])
        if pa.types.is_fixed_size_list(type_):
            return int(type_.list_size)
        if batch is None:
            return self.dimension
        first = next((value for value in batch.column(self.vector) if value.is_valid), None)
        return None if first is None else len(first)

    def kept(self, batches: Iterable[Any]) -> list[Any]:
        """Return the fields of columns that the database stores as JSON or text, with the categories in `batches`."""
        shown = list(batches)
        kept = [
            field_with_categories(key, self.types[name], [batch.column(name) for batch in shown])
            for name, key in self.metadata.items()
            # A field of this name would be mistaken for the type of the ids.
            if name not in self.json and key != ID
        ]
        return kept if is_text(self.types["id"]) else [*kept, pa.field(ID, self.types["id"])]

    def checked(self, batches: Iterable[Any]) -> Rows:
        """Check all rows before any is written. Return the mapping with the dimension of the vectors.

        Raises:
            InvalidRow, InvalidVector, DimensionMismatch: a row is invalid. The message names it.
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
                    message = f"Row {at}: the key {shown!r} repeats that of row {seen[key]}. Keys must be unique."
                    raise InvalidRow(message)
            number += len(batch)
        return rows

    def sound(self, batches: Iterable[Any], rejected: Callable[[Reject], Any]) -> Iterator[Any]:
        """Yield the batches without the rows that have an invalid vector or a forbidden null.

        Raises:
            InvalidVector, DimensionMismatch: a column contains no vectors at all.
        """
        rows, number = self, 0
        for batch in batches:
            if rows.dimension is None and (dimension := rows.dimension_of(batch)) is not None:
                rows = rows.of_dimension(dimension)
            faults = rows.faults(batch)
            for at in sorted(faults):
                rejected(Reject(number + at, f"Row {number + at}: {faults[at]}", batch.slice(at, 1).to_pylist()[0]))
            number += len(batch)
            yield batch.filter(pa.array([at not in faults for at in range(len(batch))])) if faults else batch

    def faults(self, batch: Any) -> dict[int, str]:
        """Return what is wrong with rows of a batch, by position: a forbidden null, or an invalid vector."""
        faults: dict[int, str] = {}
        for name, column in self.columns.items():
            array = batch.column(name)
            if kind_of(column.type) is Kind.VECTOR:
                _, errors = sound_vectors(array, self._dimension_of_column(name), name)
                faults |= {at: f"{name!r}: {error}" for at, error in errors.items()}
            if array.null_count and self._is_needed(name):
                nulls = np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False)).tolist()
                faults |= dict.fromkeys(nulls, _null(name))
        return faults

    def _is_needed(self, name: str) -> bool:
        return not self.columns[name].nullable or name in self.keys

    def of_batches(self, batches: Iterable[Any]) -> Iterator[dict[str, Any]]:
        """Yield the rows of batches. It raises the errors of `of_batch`."""
        number = 0
        for batch in batches:
            yield from self.of_batch(batch, number)
            number += len(batch)

    def of_batch(self, batch: Any, number: int) -> Iterator[dict[str, Any]]:
        """Yield the rows of a batch. `number` is that of its first row.

        Raises:
            InvalidRow, InvalidVector, DimensionMismatch: a row is invalid. The message names it.
        """
        values = self.values(batch, number)
        if self.metadata or self.objects:
            values[META] = list(self._metadata(batch, number))
        names = list(values)
        for row in zip(*values.values(), strict=True):
            yield dict(zip(names, row, strict=True))

    def values(self, batch: Any, number: int) -> dict[str, Any]:
        """Return the checked values of each column: a matrix for vectors, otherwise a list."""
        return {name: self._column(batch.column(name), name, number) for name in self.columns}

    def _column(self, array: Any, name: str, number: int) -> Any:
        column = self.columns[name]
        if array.null_count and self._is_needed(name):
            at = int(np.argmax(array.is_null().to_numpy(zero_copy_only=False)))
            message = f"Row {number + at}: {_null(name)}"
            raise InvalidRow(message)
        kind = kind_of(column.type)
        try:
            if kind is Kind.VECTOR:
                return vectors_of(array, self._dimension_of_column(name), number, name)
            if kind is Kind.TEXT:
                array = plain(array)
                array = array.cast(pa.string()) if name in self.keys and not is_text(array.type) else array
            elif kind not in {Kind.JSON, Kind.ARRAY}:
                array = plain(array).cast(_CHECKED_LATER.get(kind) or arrow_type(column.type))
            values = array.to_pylist()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OverflowError) as error:
            message = f"The column {name!r} cannot be written: {error}."
            raise InvalidRow(message) from error
        except RowspaceError as error:
            message = f"The column {name!r}: {error}"
            raise type(error)(message) from error
        if kind is not Kind.JSON:
            return values
        # Distinguish missing values from JSON's null, which is the text "null".
        return [null() if text is None else one for text, one in zip(values, parsed(values, name, number), strict=True)]

    def _metadata(self, batch: Any, number: int) -> Iterator[dict[str, Any]]:
        keys = list(self.metadata.values())
        columns = [json_values(batch, name, number) for name in self.metadata]
        objects = [{}] * len(batch) if self.objects is None else self._objects(self.objects, batch, number)
        for at, given in enumerate(objects, number):
            values = (column[at - number] for column in columns)
            yield {**given, **{key: value for key, value in zip(keys, values, strict=True) if value is not None}}

    def _objects(self, name: str, batch: Any, number: int) -> list[Mapping[str, Any]]:
        fix = f"This column contains all metadata of a row. For a single key, rename it: names={{{name!r}: ...}}."
        try:
            objects = json_values(batch, name, number, always=True)
        except InvalidRow as error:
            message = f"{error} {fix}"
            raise InvalidRow(message) from error
        for at, whole in enumerate(objects):
            if not isinstance(whole, Mapping | None):
                message = f"Row {number + at}: {name!r} is {whole!r:.60}, which is not a JSON object. {fix}"
                raise InvalidRow(message)
        return [whole or {} for whole in objects]


def _null(name: str) -> str:
    return f"{name!r} is null, but every row needs a value."


def json_values(batch: Any, name: str, number: int = 0, *, always: bool = False) -> list[Any]:
    """Return the values of a column of a batch as Python objects. Text that is marked as JSON is parsed.

    Args:
        batch: a record batch.
        name: the column.
        number: the number of the first row, for messages.
        always: parse text even if it is not marked as JSON.

    Raises:
        InvalidRow: a value cannot be written. The message names the column.
    """
    try:
        values = to_python(batch.column(name))
    except InvalidRow as error:
        message = f"The column {name!r} {error}"
        raise InvalidRow(message) from error
    return parsed(values, name, number) if always or is_json(batch.schema.field(name)) else values


def _documents() -> dict[str, Column[Any]]:
    columns = inspect(Document).columns
    return {name: columns[name] for name in DOCUMENT}


def _may_become(type_: Any, column: Column[Any], *, is_key: bool) -> bool:
    """Return whether an Arrow type can match a column: text for text, numbers for numbers."""
    kind, check = kind_of(column.type), pa.types
    if kind is Kind.JSON or check.is_null(type_):
        return True
    inner = type_.value_type if check.is_dictionary(type_) else type_
    if kind is Kind.ARRAY:
        # A string would become an array of its characters, and an object one of its keys.
        return is_list(inner)
    if kind is Kind.TEXT:
        # Columns of types that SQLAlchemy does not treat as text are still written as text. Accept any values.
        return is_key or is_text(inner) or not isinstance(column.type, String)
    # Arrow would convert a number to a time since 1970, and a time to a number.
    is_right = check.is_temporal(inner) == (kind in _MOMENTS)
    return is_right and not is_text(inner) and not check.is_nested(inner)
