"""The application for INSTALLED_APPS. Its label `rowspace` also names its migrations."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks

__all__ = ["RowspaceConfig"]


class RowspaceConfig(AppConfig):
    """Rowspace's collections and documents in a Django project."""

    name = "rowspace.integrations.django"
    label = "rowspace"
    verbose_name = "Rowspace"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks."""
        from rowspace.integrations.django.checks import check_databases, check_settings

        checks.register(check_settings, checks.Tags.compatibility)
        checks.register(check_databases, checks.Tags.database)
