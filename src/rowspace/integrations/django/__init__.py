"""Django (extra `django`): models, a queryset, migrations, admin, and one transaction for the ORM and Rowspace.

Add `rowspace.integrations.django` to INSTALLED_APPS. Like any models, those in `rowspace.integrations.django.models`
can be imported only after the apps are loaded. This module can be imported before.
"""

from rowspace._optional import require

require("django", extra="django")

from rowspace.integrations.django.conf import embedder
from rowspace.integrations.django.databases import async_database, database, database_settings
from rowspace.integrations.django.transactions import DjangoSessions, document_service, session

__all__ = [
    "DjangoSessions",
    "async_database",
    "database",
    "database_settings",
    "document_service",
    "embedder",
    "session",
]
