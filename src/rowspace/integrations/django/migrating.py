"""Run Rowspace's Alembic migrations as part of Django's, on Django's connection and in its transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from rowspace.integrations.django.transactions import session

__all__ = ["alembic"]


def alembic(command: Callable[[Connection, str], None], revision: str) -> Callable[[Any, Any], None]:
    """Return a function for `RunPython` that migrates Rowspace's tables to a revision with `upgrade` or `downgrade`."""

    def run(_apps: Any, schema_editor: Any) -> None:
        if schema_editor.collect_sql:
            # `sqlmigrate` skips a RunPython, except inside another operation, as here.
            schema_editor.collected_sql.append("-- Alembic runs this; `manage.py rowspace_migrate --sql` prints it.")
            return
        with session(schema_editor.connection.alias) as made:
            command(made.connection(), revision)

    return run
