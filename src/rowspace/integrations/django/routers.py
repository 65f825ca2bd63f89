"""A database router for projects whose collections and documents are not in the database `default`."""

from __future__ import annotations

from typing import Any

from rowspace.integrations.django.conf import alias_of

__all__ = ["RowspaceRouter"]

_LABEL = "rowspace"


class RowspaceRouter:
    """Send collections and documents, and their migration, to `ROWSPACE["DATABASE"]`; leave all else to others."""

    def db_for_read(self, model: Any, **_: Any) -> str | None:
        """Return the alias to read from."""
        return alias_of() if model._meta.app_label == _LABEL else None

    def db_for_write(self, model: Any, **_: Any) -> str | None:
        """Return the alias to write to."""
        return alias_of() if model._meta.app_label == _LABEL else None

    def allow_migrate(self, db: str, app_label: str, **_: Any) -> bool | None:
        """Return whether the app's migration runs in a database."""
        return db == alias_of() if app_label == _LABEL else None
