"""A database router for projects that do not keep collections and documents in the database `default`."""

from __future__ import annotations

from typing import Any

from rowspace.integrations.django.conf import alias_of

__all__ = ["RowspaceRouter"]

_LABEL = "rowspace"


class RowspaceRouter:
    """Routes collections, documents and their migrations to `ROWSPACE["DATABASE"]`, and nothing else."""

    def db_for_read(self, model: Any, **_: Any) -> str | None:
        """Return the alias to read from, or None for other apps."""
        return alias_of() if model._meta.app_label == _LABEL else None

    def db_for_write(self, model: Any, **_: Any) -> str | None:
        """Return the alias to write to, or None for other apps."""
        return alias_of() if model._meta.app_label == _LABEL else None

    def allow_migrate(self, db: str, app_label: str, **_: Any) -> bool | None:
        """Return whether the app's migrations run in a database, or None for other apps."""
        return db == alias_of() if app_label == _LABEL else None
