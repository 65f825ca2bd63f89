"""Select the vector column of a model to search, and the distance."""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Table, inspect
from sqlalchemy.dialects.postgresql import BIT
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapper

from rowspace.distance import Distance, DistanceName
from rowspace.errors import ConfigurationError
from rowspace.indexes import declared_conditions, declared_distances, declared_index
from rowspace.models import Collection
from rowspace.repositories.schemas import schema_in, schemas_of
from rowspace.statements.search import Target
from rowspace.types import Bit, decorated, vector_type_of

__all__ = ["conditions_of", "mapper_of", "searches_of", "table_of", "table_of_model", "target_of"]

M = TypeVar("M")


def target_of(model: type[M], column: str | None, distance: Distance | DistanceName | None) -> Target[M]:
    """Return the target of a repository; see the repositories for the rules.

    Raises:
        ConfigurationError: not a mapped class, no such vector column, several columns, or a distance that does not fit.
    """
    target: Target[M] = _target_of(cast("Hashable", model), column, distance)
    return target


@lru_cache(512)
def _target_of(model: Any, column: str | None, distance: Distance | DistanceName | None) -> Target[Any]:
    vectors = _vectors_of(model)
    key = _choose(model, column, list(vectors))
    found = vectors[key]
    given = None if distance is None else Distance(distance)
    is_table = isinstance(found.table, Table)
    declared, quantize = declared_index(found.table, found.key, given) if is_table else (None, None)
    is_bit = isinstance(vector_type_of(found.type), Bit)
    fallback = Distance.HAMMING if is_bit else Distance.COSINE
    chosen = given or declared or fallback
    if chosen.for_bits != is_bit:
        message = f"The distance {chosen.value} is not defined for {found.type!r}, the type of {model.__name__}.{key}."
        raise ConfigurationError(message)
    return Target(model, key, chosen, quantize=quantize)


def conditions_of(target: Target[Any]) -> tuple[Any, ...]:
    """Return the conditions of the quantized indexes for a target, none if one of them covers every row."""
    if target.quantize is None:
        return ()
    column: Any = mapper_of(target.model).columns[target.column]
    return declared_conditions(column.table, column.key, target.distance, target.quantize)


def searches_of(model: Any) -> list[tuple[str, Distance | None]]:
    """Return the possible searches of a model: each indexed vector column, with each distance of its indexes.

    For a model with a single vector column, that column is always returned; None stands for the distance of
    `target_of`.
    """
    vectors = _vectors_of(model)
    if len(vectors) == 1:
        [column] = vectors.values()
        return [(key, distance) for key in vectors for distance in _distances_of(column) or [None]]
    return [(key, distance) for key, column in vectors.items() for distance in _distances_of(column)]


def _distances_of(column: Any) -> list[Distance | None]:
    return declared_distances(column.table, column.key) if isinstance(column.table, Table) else []


def _vectors_of(model: Any) -> dict[str, Any]:
    return {one.key: one.columns[0] for one in mapper_of(model).column_attrs if _is_vector(one.columns[0])}


def mapper_of(model: Any) -> Any:
    """Return the mapper of a class.

    Raises:
        ConfigurationError: it is not mapped.
    """
    # SQLAlchemy can also inspect SQL text, instances and engines.
    found = inspect(model, raiseerr=False)
    if not isinstance(found, Mapper):
        message = f"Expected a mapped class, got {model!r:.200}."
        raise ConfigurationError(message)
    return found


def table_of_model(model: type[Any]) -> Any:
    """Return the table of a model; if it is mapped to a join or a subquery, the table in it that has the vector column.

    If no table in it has one, this is the selectable that the model is mapped to.
    """
    mapper = mapper_of(model)
    if isinstance(mapper.local_table, Table):
        return mapper.local_table
    return next((table for table in mapper.tables if any(map(_is_vector, table.c))), mapper.local_table)


def table_of(
    target: Target[Any], collection: Collection | None, connection: Connection | AsyncConnection
) -> tuple[str, str | None]:
    """Return the table with the rows of a target, or of a collection, and its schema on a connection."""
    model: Any = target.model
    table = _table_with(model, target.column)
    return table.name if collection is None else collection.partition, schema_in(schemas_of(connection), table)


@lru_cache(512)
def _table_with(model: Any, column: str) -> Any:
    table = inspect(model).columns[column].table
    return table if isinstance(table, Table) else table_of_model(model)


def _is_vector(column: Any) -> bool:
    return vector_type_of(column.type) is not None


def _choose(model: Any, column: str | None, known: list[str]) -> str:
    if column in known:
        return str(column)
    listed = ", ".join(known) or "none"
    if column is not None or not known:
        wanted = f"no vector column {column!r}" if column else "no vector column"
        message = f"{model.__name__} has {wanted}; its vector columns: {listed}.{_hint(model, column)}"
        raise ConfigurationError(message)
    if len(known) > 1:
        message = (
            f"{model.__name__} has several vector columns ({listed}). Name one: column=... (in Django, field=...)."
        )
        raise ConfigurationError(message)
    return known[0]


def _hint(model: Any, column: str | None) -> str:
    """Return advice for a `TypeDecorator`, or for a reflected `bit(n)`, which may also contain flags."""
    columns = mapper_of(model).columns
    found = columns.get(column)
    type_ = None if found is None else found.type
    if not isinstance(type_, BIT) or type_.varying:
        looked_at = columns.values() if column is None else () if found is None else (found,)
        return next(filter(None, (decorated(one.type) for one in looked_at)), "")
    declared = f"Table(..., Column({found.name!r}, rowspace.Bit({type_.length})), autoload_with=engine)"
    return f" To use a reflected bit(n) as a vector, declare it, as in {declared}."
