"""The revision of a database as a statement, for code that has a session and not a connection of its own."""

from __future__ import annotations

from sqlalchemy import Column, MetaData, Select, String, Table, select

from rowspace.migrations.environment import VERSION_TABLE

__all__ = ["revision"]

_TABLE = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))


def revision() -> Select[str]:
    """Select the revision of the database; without the table, there is none."""
    return select(_TABLE.c.version_num)
