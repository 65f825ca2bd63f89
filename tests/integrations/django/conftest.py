"""Django, set up once in a process: a project with one app of its own, on a database of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url


@pytest.fixture(scope="session")
def django_project(new_shared_database):
    """Settings, apps and migrations; Django can be configured once in a process, so nobody else may."""
    import django
    from django.conf import settings
    from django.core.management import call_command

    from rowspace.integrations.django import database_settings

    url = make_url(new_shared_database(empty=True))
    sys.path.append(str(Path(__file__).parent))
    settings.configure(
        SECRET_KEY="not a secret",
        ALLOWED_HOSTS=["testserver"],
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        TIME_ZONE="Asia/Tokyo",
        ROOT_URLCONF="shelf.urls",
        DATABASES={"default": database_settings(url), "other": database_settings(url)},
        DATABASE_ROUTERS=["shelf.routers.DefaultOnly"],
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.messages",
            "django.contrib.postgres",
            "django.contrib.sessions",
            "rowspace.integrations.django",
            "shelf",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        ROWSPACE={"EMBEDDER": "rowspace.testing.HashingEmbedder"},
    )
    django.setup()
    call_command("migrate", verbosity=0)
    yield
    close()


@pytest.fixture
def ground(django_project):
    """Django outside of any transaction: what a test commits stays."""
    yield
    close()


@pytest.fixture
def db(ground):
    """An atomic block that is rolled back after the test."""
    from django.db import transaction

    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def close():
    from django.db import connections

    connections.close_all()


@pytest.fixture
def settings_of(django_project):
    from django.test import override_settings

    return override_settings


@pytest.fixture
def django_assert_num_queries(django_project):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    class Counted(CaptureQueriesContext):
        def __init__(self, wanted):
            super().__init__(connection)
            self.wanted = wanted

        def __exit__(self, *error):
            super().__exit__(*error)
            assert [query["sql"] for query in self.captured_queries][: self.wanted + 1] == []

    return Counted
