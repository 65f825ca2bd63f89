"""Django (extra `django`): one transaction for the ORM and for Rowspace, models, a queryset, migrations, admin.

Put `rowspace.integrations.django` into INSTALLED_APPS. The models are in `rowspace.integrations.django.models`, which
like any models are imported after the apps are loaded; what is here may be imported before.
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
