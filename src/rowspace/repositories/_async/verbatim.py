"""DDL as it is written: a `%` in it, of a condition, a schema or a role, is no parameter of the driver's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["run_verbatim"]


async def run_verbatim(connection: Any, statements: Iterable[str]) -> None:
    """Execute statements on a connection, one after the other."""
    for statement in statements:
        await connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
