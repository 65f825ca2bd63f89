"""Statements without parameters, as they are written: a `%` in a name or a condition is none of the driver's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["run_verbatim"]


async def run_verbatim(connection: Any, statements: Iterable[str]) -> Any:
    """Execute statements on a connection, one after the other, and return the result of the last."""
    result = None
    for statement in statements:
        result = await connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    return result
