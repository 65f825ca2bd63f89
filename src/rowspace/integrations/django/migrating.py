"""Rowspace's Alembic migrations inside of Django's: run on Django's connection, in Django's transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from rowspace.integrations.django.transactions import session

__all__ = ["alembic"]


def alembic(command: Callable[[Connection, str], None], revision: str) -> Callable[[Any, Any], None]:
    """Return the function for `RunPython` that takes Rowspace's tables to a revision by `upgrade` or `downgrade`."""

    def run(_apps: Any, schema_editor: Any) -> None:
        if schema_editor.collect_sql:
            # `sqlmigrate` leaves a RunPython out, but not one that is a part of another operation, as ours are.
            schema_editor.collected_sql.append("-- By Alembic: `manage.py rowspace_migrate --sql` prints it.")
            return
        with session(schema_editor.connection.alias) as made:
            command(made.connection(), revision)

    return run
