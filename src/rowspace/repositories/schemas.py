"""Options of a connection that statements written as text have to follow: `schema_translate_map`, infinite dates."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from rowspace.models import Collection, Document
from rowspace.statements.admin import Partition
from rowspace.statements.identifiers import Schemas

__all__ = ["is_endless", "partition_of", "schema_in", "schemas_of"]


def schemas_of(bind: Engine | AsyncEngine | Connection | AsyncConnection) -> Schemas:
    """Return the map from schemas of models to actual schemas on an engine or a connection.

    For a session, pass its connection, which has the options of the session and of its transaction.
    """
    inner: Any = getattr(bind, "sync_connection", bind)
    schemas: Schemas = inner.get_execution_options().get("schema_translate_map") or {}
    return schemas


def is_endless(connection: Connection | AsyncConnection) -> bool:
    """Return whether a driver represents infinite dates and times by the first and the last of Python."""
    return connection.dialect.driver == "asyncpg"


def partition_of(collection: Collection, schemas: Schemas) -> Partition:
    """Return the partition with the documents of a collection."""
    return Partition(collection.id, collection.dimension, schema_in(schemas, Document.__table__))


def schema_in(schemas: Schemas, table: Any) -> str | None:
    """Return the schema of a model's table; None stands for the search path."""
    return schemas.get(table.schema, table.schema)
