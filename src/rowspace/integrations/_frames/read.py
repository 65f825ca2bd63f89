"""The columns of a read, and its parts as record batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias, get_args

from sqlalchemy import ARRAY, Column, Enum, SelectBase, TypeDecorator, select

from rowspace._optional import require
from rowspace.errors import ConfigurationError, InvalidRow, mapped_errors
from rowspace.integrations._frames.columns import array_of, array_of_values, arrow_type, as_type, stacked
from rowspace.integrations._frames.metadata import (
    ID,
    IS_JSON,
    PREFIX,
    column_of,
    columns_of_metadata,
    field_of_key,
    kept_schema,
)
from rowspace.models import Collection
from rowspace.repositories import TableRepository
from rowspace.repositories.given import AnySession
from rowspace.repositories.subjects import Where
from rowspace.types import is_jsonb, psycopg_dialect, stored_type, vector_type_of
from rowspace.vectors import as_vector
from rowspace.wire.columns import Kind, RawColumn, kind_of
from rowspace.wire.texts import value_reader
from rowspace.wire.values import to_json

__all__ = ["META", "Fields", "MetadataMode", "fields_of", "holds_metadata", "selected"]

pa: Any = require("pyarrow", extra="arrow")

#: The attribute for metadata. Frames name its column `metadata`.
META = "meta"

#: Metadata as one column per key, or as one column of JSON text.
MetadataMode: TypeAlias = Literal["columns", "json"]

_TIMES = {"created_at", "updated_at"}
_ROWS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Fields:
    """The columns of a read.

    Args:
        kinds: the wire format of each attribute.
        types: the Arrow type of each attribute; None for metadata that is split into columns.
        ids: the original types of attributes that are stored as text.
        keys: the Arrow field of each metadata key.
        columns: the column of each attribute.
    """

    kinds: Mapping[str, Kind]
    types: Mapping[str, Any]
    ids: Mapping[str, Any]
    keys: Mapping[str, Any]
    columns: Mapping[str, Column[Any]]
    #: The metadata of the original frame's schema, where pandas stores its own types.
    notes: Mapping[bytes, bytes]

    @property
    def attributes(self) -> list[str]:
        """The attributes to read from the table."""
        return [*self.kinds]

    @property
    def schema(self) -> Any:
        """The schema of the batches."""
        fields = []
        for name, type_ in self.types.items():
            if name == META and type_ is None:
                fields += [field.with_name(self._named(key)) for key, field in self.keys.items()]
            else:
                notes = IS_JSON if name == META else None
                fields.append(pa.field(_shown(name), self.ids.get(name, type_), metadata=notes))
        return pa.schema(fields, metadata=dict(self.notes))

    def batch(self, part: Mapping[str, RawColumn]) -> Any:
        """Convert one part of the rows to a record batch."""
        arrays = []
        for name, type_ in self.types.items():
            if name == META and type_ is None:
                arrays += columns_of_metadata(part[name].texts(), self.keys)
                continue
            array = self._array(name, part[name])
            arrays.append(as_type(array, self.ids[name]) if name in self.ids else array)
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _array(self, name: str, raw: RawColumn) -> Any:
        type_ = self.columns[name].type
        if not isinstance(type_, TypeDecorator) or stored_type(type_) is type_:
            with _naming(name):
                return array_of(raw, self.kinds[name], self.types[name])
        # Apply the type, so that values are as the application sees them. Writing them back applies it too.
        read = value_reader(type_)
        return _array_of([None if text is None else read(text) for text in raw.texts()], type_, self.types[name], name)

    def _named(self, key: str) -> str:
        return column_of(key, {_shown(name) for name in self.types})


def _shown(attribute: str) -> str:
    return "metadata" if attribute == META else attribute


def fields_of(
    tables: TableRepository,
    over: Collection | type[Any],
    *,
    columns: Sequence[str] | None,
    where: Where | None,
    metadata: str,
) -> Fields:
    """Return the columns for a read of a collection or a model.

    Raises:
        ConfigurationError: a column does not exist.
    """
    if metadata not in get_args(MetadataMode):
        message = f"metadata must be one of {', '.join(get_args(MetadataMode))}, got {metadata!r}."
        raise ConfigurationError(message)
    schema = kept_schema(over.meta if isinstance(over, Collection) else {})
    kept = {field.name: field for field in schema}
    id_ = kept.pop(ID, None)
    chosen, keys = _chosen(tables, over, columns)
    in_columns = META in chosen and holds_metadata(tables.columns[META]) and metadata == "columns"
    kinds = {name: kind_of(tables.columns[name].type) for name in chosen}
    types: dict[str, Any] = {
        name: arrow_type(tables.columns[name].type, tables.dimension if name == tables.vector else None)
        for name in chosen
    }
    found: dict[str, Any] = {}
    if in_columns:
        types[META] = None
        known = tables.metadata_kinds(where=where)
        # In the order of the original frame, including columns that are now all null.
        found = {key: field_of_key(key, known.get(key, ()), kept.get(key)) for key in (keys or {**kept, **known})}
    ids = {"id": id_.type} if id_ is not None and "id" in chosen else {}
    return Fields(kinds, types, ids, found, tables.columns, schema.metadata or {})


def holds_metadata(column: Column[Any]) -> bool:
    """Return whether a column is plain JSONB. A `TypeDecorator` can convert JSONB to other values."""
    return is_jsonb(column.type) and kind_of(column.type) is Kind.JSON


def _chosen(
    tables: TableRepository, over: Collection | type[Any], columns: Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """Return the requested attributes, vectors last by default, and the requested metadata keys."""
    if columns is None:
        hidden = _TIMES if isinstance(over, Collection) else set()
        names = [name for name in tables.columns if name not in hidden]
        names.sort(key=lambda name: (name == tables.vector, name == META))
        return names, []
    wanted = [META if name == "metadata" else name for name in columns]
    keys = [name.removeprefix(PREFIX) for name in wanted if name not in tables.columns]
    if keys and META not in tables.columns:
        message = f"There is no column {keys[0]!r}. Columns: {', '.join(tables.columns)}."
        raise ConfigurationError(message)
    names = [name for name in wanted if name in tables.columns]
    if not names and not keys:
        message = "columns is empty. Name at least one column, or omit it."
        raise ConfigurationError(message)
    return [*names, *([META] if keys and META not in names else [])], keys


@contextmanager
def selected(session: AnySession, statement: SelectBase, *, columns: Any, where: Where | None) -> Iterator[Any]:
    """Return a context with a reader for the rows of a statement, in its order.

    Raises:
        ConfigurationError: an option applies only to tables.
    """
    if columns is not None or where:
        message = "A select has its own columns and conditions. Omit columns and where."
        raise ConfigurationError(message)
    rows = statement.subquery("rowspace_rows")
    options = {"stream_results": True, "yield_per": _ROWS_AT_ONCE}
    with (
        mapped_errors(),
        session.connection(bind_arguments={"clause": statement}).execute(
            select(*rows.c), execution_options=options
        ) as result,
    ):
        # Use the server's names. It appends a number to duplicates.
        types = dict(zip(result.keys(), [column.type for column in rows.c], strict=True))
        parts = result.partitions()
        first = next(parts, [])
        schema = pa.schema([(name, _selected_type(type_, [row[at] for row in first])) for at, (name, type_) in
                            enumerate(types.items())])  # fmt: skip
        yield pa.RecordBatchReader.from_batches(schema, _selected_batches(first, parts, types, schema))


def _selected_type(type_: Any, values: Sequence[Any]) -> Any:
    # For a vector column without a dimension, such as that of documents, use the dimension of the first vectors.
    found = {len(as_vector(value)) for value in values if value is not None} if _is_vector(type_) else set()
    arrow = arrow_type(type_, found.pop() if len(found) == 1 else None)
    if isinstance(type_, TypeDecorator) and not _fits(values, arrow):
        return pa.string()
    # To SQLAlchemy, a sum of integers has their type, but PostgreSQL returns a larger one.
    return pa.int64() if pa.types.is_integer(arrow) and not _fits(values, arrow) else arrow


def _is_vector(type_: Any) -> bool:
    return kind_of(type_) is Kind.VECTOR


def _fits(values: Sequence[Any], type_: Any) -> bool:
    try:
        array_of_values(values, type_)
    except InvalidRow:
        return False
    return True


def _selected_batches(first: Any, parts: Iterator[Any], types: Mapping[str, Any], schema: Any) -> Iterator[Any]:
    part = first
    while part:
        columns = zip(*part, strict=True)
        arrays = [
            _array_of(values, type_, field.type, field.name)
            for values, type_, field in zip(columns, types.values(), schema, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        part = next(parts, [])


def _array_of(values: Sequence[Any], type_: Any, arrow: Any, name: str) -> Any:
    """Return values, as the application sees them, as an array.

    Raises:
        InvalidRow: the array cannot represent a value. The message names the column.
    """
    if _is_vector(type_):
        if pa.types.is_fixed_size_list(arrow):
            return stacked(values, arrow.list_size)
        return pa.array([None if value is None else as_vector(value) for value in values], arrow)
    stored: Any = stored_type(type_)
    if kind_of(stored) is Kind.JSON:
        return pa.array([None if value is None else to_json(value) for value in values], arrow)
    written = _writer(type_)
    with _naming(name):
        return array_of_values([_as_text(written(one) if written else one, arrow) for one in values], arrow)


def _writer(type_: Any) -> Callable[[Any], Any] | None:
    """Return a function to the database's form of a value if Python's differs, otherwise None."""
    if (vector := vector_type_of(type_)) is not None:
        return lambda value: None if value is None else vector.to_text(vector.coerce(value))
    if isinstance(type_, Enum):
        return stored_type(type_).bind_processor(psycopg_dialect())
    if isinstance(type_, ARRAY) and (item := _writer(type_.item_type)) is not None:
        return partial(_each, item)
    return None


def _each(written: Callable[[Any], Any], value: Any) -> Any:
    return [_each(written, one) for one in value] if isinstance(value, list) else written(value)


def _as_text(value: Any, arrow: Any) -> Any:
    """Return a value as text if the array's type is text, also inside lists."""
    if value is None or isinstance(value, str):
        return value
    if pa.types.is_list(arrow):
        return [_as_text(one, arrow.value_type) for one in value]
    if not pa.types.is_string(arrow):
        return value
    return to_json(value) if isinstance(value, dict | list) else str(value)


@contextmanager
def _naming(name: str) -> Iterator[None]:
    try:
        yield
    except InvalidRow as error:
        message = f"The column {name!r} {error} Omit it, or select it cast to another type."
        raise InvalidRow(message) from error
