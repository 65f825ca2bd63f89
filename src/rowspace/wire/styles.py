"""Have the server write dates and intervals as the drivers read them.

A database or a role may have styles of its own. psycopg reads no `timestamptz` but ISO's and no interval but
PostgreSQL's; psycopg2 asks for ISO's dates by itself, and takes other intervals for wrong ones; asyncpg reads binary.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, event

__all__ = ["ask_for_readable_styles"]

_READABLE = {"DateStyle": "ISO", "IntervalStyle": "postgres"}


def ask_for_readable_styles(engine: Engine) -> None:
    """Set the two styles on each new connection whose server has told that it writes others."""
    if engine.dialect.driver == "asyncpg":
        return

    @event.listens_for(engine, "connect")
    def ask(connection: Any, record: Any) -> None:
        driver = record.driver_connection
        # Both drivers have `info`; no round trip, the server has told at the start.
        other = {name: style for name, style in _READABLE.items() if _told(driver, name) not in {style, None}}
        if other:
            cursor = connection.cursor()
            for name, style in other.items():
                cursor.execute(f"SET {name} = {style}")
            cursor.close()
            connection.commit()


def _told(driver: Any, name: str) -> str | None:
    told: str | None = driver.info.parameter_status(name)
    # A date's has the order of day and month behind it, which is the session's own matter.
    return told and told.partition(",")[0]
