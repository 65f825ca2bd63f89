"""Rowspace's Alembic migrations inside of Django's: run on Django's connection, in Django's transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rowspace.integrations.django.transactions import session
from rowspace.migrations import downgrade, upgrade

__all__ = ["alembic_downgrade", "alembic_upgrade"]


def alembic_upgrade(revision: str) -> Callable[[Any, Any], None]:
    """Return the function for `RunPython` that brings Rowspace's tables to a revision."""

    def run(_apps: Any, schema_editor: Any) -> None:
        with session(schema_editor.connection.alias) as made:
            upgrade(made.connection(), revision)

    return run


def alembic_downgrade(revision: str) -> Callable[[Any, Any], None]:
    """Return the function for `RunPython` that takes Rowspace's tables back to a revision."""

    def run(_apps: Any, schema_editor: Any) -> None:
        with session(schema_editor.connection.alias) as made:
            downgrade(made.connection(), revision)

    return run
