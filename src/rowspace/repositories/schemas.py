"""What a connection makes of a model, for statements written as text: `schema_translate_map`, and infinite dates."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from rowspace.models import Collection, Document
from rowspace.statements.admin import Partition
from rowspace.statements.identifiers import Schemas

__all__ = ["is_endless", "partition_of", "schema_in", "schemas_of"]


def schemas_of(bind: Engine | AsyncEngine | Connection | AsyncConnection) -> Schemas:
    """Return what stands for the schemas of models on an engine or a connection.

    Of a session ask its connection: an option of the session, or of one transaction, is on that alone.
    """
    inner: Any = getattr(bind, "sync_connection", bind)
    schemas: Schemas = inner.get_execution_options().get("schema_translate_map") or {}
    return schemas


def is_endless(connection: Connection | AsyncConnection) -> bool:
    """Return whether a driver has the first and the last of Python's dates and times for the infinite ones."""
    return connection.dialect.driver == "asyncpg"


def partition_of(collection: Collection, schemas: Schemas) -> Partition:
    """Return the partition that holds the documents of a collection."""
    return Partition(collection.id, collection.dimension, schema_in(schemas, Document.__table__))


def schema_in(schemas: Schemas, table: Any) -> str | None:
    """Return the schema of a model's table, None for the search path's."""
    return schemas.get(table.schema, table.schema)
