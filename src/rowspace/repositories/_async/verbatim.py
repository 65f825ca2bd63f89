"""Statements that are run for what they do: as text, or by the session, which counts the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from sqlalchemy import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.errors import mapped_errors
from rowspace.repositories.transactions import synchronizing

__all__ = ["rows_changed", "run_verbatim"]


async def run_verbatim(connection: Any, statements: Iterable[str]) -> Any:
    """Execute statements on a connection, one after the other, and return the result of the last.

    They have no parameters: a `%` in a name or a condition is none of the driver's.
    """
    result = None
    for statement in statements:
        result = await connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    return result


async def rows_changed(
    session: AsyncSession, model: type[Any], statement: Any, parameters: Mapping[str, str] | None = None
) -> int:
    """Execute an UPDATE or DELETE of a model, synchronize the session's objects, and return the number of rows."""
    options = synchronizing(session, model)
    with mapped_errors():
        result = cast("CursorResult[Any]", await session.execute(statement, parameters, execution_options=options))
    return result.rowcount
