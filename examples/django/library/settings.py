"""Settings of the example. Without `ROWSPACE_DATABASE_URL`, they start an embedded PostgreSQL."""

import os

from rowspace.embedded import EmbeddedServer, default_data_dir
from rowspace.integrations.django import database_settings

SECRET_KEY = "only for the example"  # noqa: S105
DEBUG = True
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "library.urls"
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

# Keep a reference, because the server stops when none is left.
SERVER = None if "ROWSPACE_DATABASE_URL" in os.environ else EmbeddedServer(default_data_dir().with_name("django"))
DATABASES = {
    "default": {
        **database_settings(os.environ["ROWSPACE_DATABASE_URL"] if SERVER is None else SERVER.url),
        "ATOMIC_REQUESTS": True,
    }
}

# settings-begin
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rowspace.integrations.django",
    "books",
]
ROWSPACE = {"EMBEDDER": os.environ.get("LIBRARY_EMBEDDER", "rowspace.integrations.local.LocalEmbedder")}
# settings-end

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
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
]
