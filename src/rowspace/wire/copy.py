"""COPY a binary stream into a staging table, through each driver's own way.

The two functions are the only place that touches a driver's connection for it. Both run inside the transaction that
SQLAlchemy has begun on the connection: call them after a statement of that transaction.
"""

from __future__ import annotations

import io
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from rowspace.statements.write import Merge

__all__ = ["copy_in", "copy_in_async"]


def copy_in(connection: Connection, merge: Merge, data: bytes) -> None:
    """Copy a binary stream into the staging table of `merge`, on psycopg or psycopg2."""
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor:
        if hasattr(cursor, "copy_expert"):
            cursor.copy_expert(merge.copy(), io.BytesIO(data))
            return
        with cursor.copy(merge.copy()) as copy:
            copy.write(data)


async def copy_in_async(connection: AsyncConnection, merge: Merge, data: bytes) -> None:
    """Copy a binary stream into the staging table of `merge`, on psycopg or asyncpg."""
    raw = await connection.get_raw_connection()
    driver: Any = raw.driver_connection
    if hasattr(driver, "copy_to_table"):
        names = [column.name for column in merge.columns]
        # As a memoryview: asyncpg takes bytes for the path of a file.
        await driver.copy_to_table(
            merge.stage, schema_name="pg_temp", columns=names, source=memoryview(data), format="binary"
        )
        return
    async with driver.cursor() as cursor, cursor.copy(merge.copy()) as copy:
        await copy.write(data)
