"""What sync and async bulk reads share: the export of a subject and how its stream is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import Column, MetaData, Table, inspect, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.dml import Insert

from rowspace.errors import ConfigurationError
from rowspace.repositories.subjects import Conditions, Subject
from rowspace.statements.read import Export, ExportKey
from rowspace.types import Vector
from rowspace.wire.decode import MatrixDecoder, key_decoder

__all__ = ["Reading", "plan_reading"]


@dataclass(frozen=True, slots=True)
class Reading:
    """One bulk read: the statements, and the types of what comes."""

    export: Export
    dimension: int
    keys: tuple[Column[Any], ...]

    def decoder(self) -> MatrixDecoder:
        """Return a decoder for the stream of the COPY statement."""
        return MatrixDecoder(self.dimension, [key_decoder(key.type) or bytes.decode for key in self.keys])

    def selection(self, subject: Subject[Any], conditions: Conditions) -> Insert:
        """Return the statement that collects the keys of the rows that meet the conditions."""
        columns = [Column(key.name, key.type) for key in self.keys]
        table = Table(str(self.export.selection), MetaData(), *columns, schema="pg_temp")
        rows = select(*self.keys).where(*subject.target.conditions(), *conditions.clauses)
        return table.insert().from_select([key.name for key in self.keys], rows)


def plan_reading(subject: Subject[Any], conditions: Conditions, schema: str | None) -> Reading:
    """Plan a bulk read of the rows that meet the conditions.

    Raises:
        ConfigurationError: the vector column is not a `Vector` with a dimension.
    """
    mapper = inspect(subject.target.model)
    table = mapper.local_table
    vector = mapper.columns[subject.target.column]
    if not isinstance(subject.target.type, Vector) or subject.target.type.dimension is None:
        message = f"A matrix is read from a Vector column with a dimension, got {subject.target.type!r}."
        raise ConfigurationError(message)
    keys = tuple(key for key in table.primary_key.columns if key.name not in dict(subject.target.scope))
    partition = subject.collection.partition if subject.collection is not None else None
    export = Export(
        table=partition or table.name,
        schema=table.schema or schema,
        vector=vector.name,
        keys=tuple(ExportKey(key.name, _ddl(key), as_text=key_decoder(key.type) is None) for key in keys),
        selection=f"rowspace_{uuid4().hex[:12]}" if conditions.clauses else None,
    )
    return Reading(export, subject.target.type.dimension, keys)


def _ddl(column: Column[Any]) -> str:
    return column.type.compile(postgresql.dialect())  # type: ignore[no-untyped-call]
