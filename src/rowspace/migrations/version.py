"""The revision of a database as a statement, for code that has a session instead of its own connection."""

from __future__ import annotations

from sqlalchemy import Column, MetaData, Select, String, Table, select

from rowspace.migrations.environment import VERSION_TABLE

__all__ = ["revision"]

_TABLE = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))


def revision() -> Select[str]:
    """Select the revision of the database. The statement fails if no migration has ever run."""
    return select(_TABLE.c.version_num)
