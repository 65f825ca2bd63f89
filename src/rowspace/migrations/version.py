"""The revision of a database as a statement, for code that has a session and not a connection of its own."""

from __future__ import annotations

from functools import cache

from sqlalchemy import Column, MetaData, Select, String, Table, select

from rowspace.migrations.environment import VERSION_TABLE
from rowspace.migrations.runner import head

__all__ = ["newest", "revision"]

_TABLE = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))


@cache
def newest() -> str:
    """Return what `head` returns, and look for the scripts once only."""
    return head()


def revision() -> Select[str]:
    """Select the revision of the database; without the table, there is none."""
    return select(_TABLE.c.version_num)
