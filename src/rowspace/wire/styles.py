"""Make the server format dates and intervals in the styles that the drivers parse.

A database or a role may set other styles. psycopg parses only ISO `timestamptz` values and PostgreSQL-style intervals;
psycopg2 requests ISO dates itself, but misreads other intervals; asyncpg uses binary formats.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, event

__all__ = ["ask_for_readable_styles"]

_READABLE = {"DateStyle": "ISO", "IntervalStyle": "postgres"}


def ask_for_readable_styles(engine: Engine) -> None:
    """Set both styles on each new connection if the server reports others."""
    if engine.dialect.driver == "asyncpg":
        return

    @event.listens_for(engine, "connect")
    def ask(connection: Any, record: Any) -> None:
        driver = record.driver_connection
        # Without a round trip: the server reports them when a connection starts, and both drivers have `info`.
        other = {name: style for name, style in _READABLE.items() if _told(driver, name) not in {style, None}}
        if other:
            cursor = connection.cursor()
            for name, style in other.items():
                cursor.execute(f"SET {name} = {style}")
            cursor.close()
            connection.commit()


def _told(driver: Any, name: str) -> str | None:
    told: str | None = driver.info.parameter_status(name)
    # DateStyle also contains the order of day and month, which remains as the session has it.
    return told and told.partition(",")[0]
