"""Map a Django model's table for SQLAlchemy, with the columns that a search needs, once per model."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.contrib.postgres.search import SearchVectorField
from django.db import models
from pgvector.django import (
    BitField,
    HalfVectorField,
    HnswIndex,
    IvfflatIndex,
    SparseVectorField,
    VectorField,
)
from sqlalchemy import Column, Index, MetaData, Table, Text, types
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import deferred, registry

from rowspace.types import Bit, HalfVector, SparseVector, Vector

__all__ = ["key_names", "key_of", "mapped", "vector_names"]

# The first match wins.
_TYPES: tuple[tuple[Any, Any], ...] = (
    (VectorField, lambda field: Vector(field.dimensions)),
    (HalfVectorField, lambda field: HalfVector(field.dimensions)),
    (SparseVectorField, lambda field: SparseVector(field.dimensions)),
    (BitField, lambda field: Bit(field.length)),
    (SearchVectorField, lambda _: TSVECTOR()),
    (models.JSONField, lambda _: JSONB()),
    (models.IntegerField, lambda _: types.BigInteger()),
    (models.AutoField, lambda _: types.BigInteger()),
    (models.UUIDField, lambda _: types.Uuid()),
    ((models.CharField, models.TextField), lambda _: Text()),
)


@lru_cache(256)
def mapped(model: Any) -> type[Any]:
    """Return a mapped class for the table of a Django model. Its attributes are named as in Django (`attname`).

    Only the primary key is loaded eagerly. The table includes the vector indexes of `Meta.indexes`, so that a search
    uses the distance of the index.
    """
    # A proxy has no fields of its own.
    concrete = model._meta.concrete_model
    fields = concrete._meta.local_concrete_fields
    schema, name = _table_name(concrete._meta.db_table)
    keys = set(key_names(model))
    columns = {
        field.attname: Column(field.column, _type_of(field), primary_key=field.attname in keys) for field in fields
    }
    table = Table(name, MetaData(), *columns.values(), *_indexes(concrete), schema=schema)
    made = type(model.__name__, (), {"__doc__": f"The table of {model.__name__}."})
    properties = {key: column if key in keys else deferred(column) for key, column in columns.items()}
    registry().map_imperatively(made, table, properties=properties)
    return made


def key_names(model: Any) -> list[str]:
    """Return the attributes of the primary key, in order."""
    return [field.attname for field in model._meta.pk_fields]


def key_of(entity: Any, model: Any, connection: Any) -> Any:
    """Return the primary key of a mapped row as the Django instance has it: a tuple if it is composite."""
    key = tuple(_as_in_django(getattr(entity, field.attname), field, connection) for field in model._meta.pk_fields)
    return key if len(key) > 1 else key[0]


def _as_in_django(value: Any, field: Any, connection: Any) -> Any:
    column = field.get_col(field.model._meta.db_table)
    for convert in column.get_db_converters(connection):
        value = convert(value, column, connection)
    # Without a converter, Django uses the driver's text, for example for a network address.
    return field.to_python(value)


def vector_names(model: Any) -> list[str]:
    """Return the names of the vector fields of a model."""
    kinds = (VectorField, HalfVectorField, SparseVectorField, BitField)
    return [field.name for field in model._meta.concrete_fields if isinstance(field, kinds)]


def _table_name(given: str) -> tuple[str | None, str]:
    # Django has no setting for a schema. The common workaround is db_table = 'schema"."table'.
    schema, dot, name = given.strip('"').rpartition('"."')
    return (schema if dot else None), name


def _type_of(field: Any) -> types.TypeEngine[Any]:
    while field.remote_field is not None:
        field = field.target_field
    for kinds, make in _TYPES:
        if isinstance(field, kinds):
            made: types.TypeEngine[Any] = make(field)
            return made
    return types.NullType()


def _indexes(model: Any) -> list[Index]:
    found = []
    for index in model._meta.indexes:
        if isinstance(index, HnswIndex | IvfflatIndex) and index.fields and index.opclasses:
            columns = [model._meta.get_field(name).column for name in index.fields]
            ops = dict(zip(columns, index.opclasses, strict=True))
            # A partial index is treated like a full one: only its distance is used.
            found.append(Index(index.name, *columns, postgresql_using=index.suffix, postgresql_ops=ops))
    return found
