"""The shared parts of sync and async bulk reads: the export of a subject, and the decoding of its stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from sqlalchemy import Column, Select, inspect, types
from sqlalchemy.dialects import postgresql

from rowspace.errors import ConfigurationError
from rowspace.models import Collection
from rowspace.repositories.schemas import schema_in
from rowspace.repositories.subjects import Conditions, Subject
from rowspace.repositories.targets import mapper_of
from rowspace.statements.identifiers import Schemas
from rowspace.statements.models import table_of_one
from rowspace.statements.read import Export, ExportColumn
from rowspace.statements.visible import collect
from rowspace.types import HalfVector, Vector, on_postgresql, vector_type_of
from rowspace.wire.columns import ColumnsDecoder, export_column
from rowspace.wire.decode import MatrixDecoder, key_decoder
from rowspace.wire.encode import ddl_of
from rowspace.wire.texts import value_reader

__all__ = ["Reading", "columns_of", "first_vector", "plan_columns", "plan_reading"]


@dataclass(frozen=True, slots=True)
class Reading:
    """One bulk read: the statements, and the key columns."""

    export: Export
    keys: tuple[Column[Any], ...]
    #: The dimension of a vector, for a matrix; None for columns.
    dimension: int | None = None

    def decoder(self, rows: int | None, at_once: int | None, *, endless: bool) -> Any:
        """Return a decoder for the stream of the COPY statement.

        It allocates memory for the expected number of rows, or for `at_once` bytes of them. With `endless`, infinite
        dates and times of keys become the first and the last of Python.
        """
        if self.dimension is None:
            return ColumnsDecoder(len(self.export.columns))
        room = (rows or 0) if at_once is None else at_once // (4 * self.dimension)
        decoders = [_key_reader(key, endless=endless) for key in self.keys]
        return MatrixDecoder(self.dimension, decoders, expected=room + room // 16)

    def selection(self, subject: Subject[Any], conditions: Conditions) -> Select[int]:
        """Return the statement that collects and counts the keys of the rows that meet the conditions."""
        scope = subject.target.in_scope() if self.dimension is None else subject.target.conditions()
        where = [*scope, *conditions.clauses]
        return collect(subject.target.model, self.keys, str(self.export.selection), where)


def plan_reading(subject: Subject[Any], schemas: Schemas, *, selects: bool) -> Reading:
    """Plan a bulk read of keys and vectors; if it `selects`, only of some rows, by their keys.

    Raises:
        ConfigurationError: the vector is not a `Vector` or `HalfVector` column with a dimension, or the model is mapped
            to several tables.
    """
    vector = inspect(subject.target.model).columns[subject.target.column]
    type_ = subject.target.type
    if not isinstance(vector, Column):
        message = f"A matrix is read from a column, but {subject.target.column} is computed. Fetch it by select()."
        raise ConfigurationError(message)
    if not isinstance(type_, Vector | HalfVector) or type_.dimension is None:
        message = (
            f"Expected a Vector or HalfVector column with a dimension to read a matrix from, got {type_!r}. "
            "TableRepository reads columns of any type."
        )
        raise ConfigurationError(message)
    keys = _keys(subject)
    columns = [ExportColumn(key.name, _key_cast(key, schemas)) for key in keys]
    export = _export(subject, schemas, (ExportColumn(vector.name, "vector"), *columns), selects=selects)
    # As in every search, rows without a vector are omitted, also if a row has lost it since its key was selected.
    return Reading(replace(export, present=vector.name if vector.nullable else None), keys, type_.dimension)


def plan_columns(subject: Subject[Any], schemas: Schemas, *, selects: bool, attributes: Sequence[str]) -> Reading:
    """Plan a bulk read of columns; if it `selects`, only of some rows, by their keys.

    Raises:
        ConfigurationError: the model has no such attribute, or is mapped to several tables, or the `column_expression`
            of a column's type has parameters.
    """
    columns = columns_of(subject)
    for name in attributes:
        if name not in columns:
            message = f"{subject.target.model.__name__} has no column {name!r}; it has {', '.join(columns)}."
            raise ConfigurationError(message)
    exported = tuple(export_column(columns[name], schemas) for name in attributes)
    return Reading(_export(subject, schemas, exported, selects=selects), _keys(subject))


def columns_of(subject: Subject[Any]) -> dict[str, Column[Any]]:
    """Return the columns of a subject by attribute, without those that its scope fixes."""
    fixed = dict(subject.target.scope)
    columns = inspect(subject.target.model).columns.items()
    # A `column_property` of an expression is not a column of the table.
    return {name: column for name, column in columns if name not in fixed and isinstance(column, Column)}


def first_vector(over: Any) -> str | None:
    """Return the attribute of the first vector column of a model; None for a collection, or if there is none."""
    if isinstance(over, Collection):
        return None
    columns = mapper_of(over).columns.items()
    return next((str(name) for name, column in columns if vector_type_of(column.type) is not None), None)


def _keys(subject: Subject[Any]) -> tuple[Column[Any], ...]:
    table = table_of_one(subject.target.model, "A bulk read")
    return tuple(key for key in table.primary_key.columns if key.name not in dict(subject.target.scope))


def _key_cast(key: Column[Any], schemas: Schemas) -> str | None:
    """Return the type to cast a key to, if any."""
    if key_decoder(key.type) is None:
        return "text"
    # If the column has another type in the database, its bytes would mean another date.
    is_time = isinstance(on_postgresql(key.type), types.Date | types.DateTime | types.Interval | postgresql.INTERVAL)
    return ddl_of(key.type, schemas) if is_time else None


def _key_reader(key: Column[Any], *, endless: bool) -> Callable[[bytes], Any]:
    """Return the function that decodes the bytes of a key to the value that an entity has."""
    decode, type_ = key_decoder(key.type, endless=endless), on_postgresql(key.type)
    if decode is not None and not (isinstance(type_, types.Uuid) and not type_.as_uuid):
        return decode
    read = value_reader(key.type)
    return lambda data: read(bytes.decode(data) if decode is None else str(decode(data)))


def _export(subject: Subject[Any], schemas: Schemas, columns: tuple[ExportColumn, ...], *, selects: bool) -> Export:
    table = table_of_one(subject.target.model, "A bulk read")
    return Export(
        table=subject.partition or table.name,
        schema=schema_in(schemas, table),
        columns=columns,
        keys=tuple((key.name, ddl_of(key.type, schemas)) for key in _keys(subject)),
        selection=f"rowspace_{uuid4().hex[:12]}" if selects else None,
        constants=subject.target.scope if subject.through else (),
    )
