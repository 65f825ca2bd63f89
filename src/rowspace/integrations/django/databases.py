"""Rowspace's own engines on Django's `DATABASES`, for async code and for work outside Django's transaction."""

from __future__ import annotations

from typing import Any

from django.db import connections
from psycopg import IsolationLevel
from sqlalchemy import URL, event

from rowspace.engine import AsyncDatabase, Database
from rowspace.errors import ConfigurationError
from rowspace.integrations.django.conf import alias_of
from rowspace.urls import read_url

__all__ = ["async_database", "check_backend", "database", "database_settings"]

# Entries of OPTIONS that only Django uses: its pool, its cursors and adapters. Two others become engine options.
_DJANGO_ONLY = {"pool", "server_side_binding", "cursor_factory", "context"}


def database(using: str | None = None, **engine_options: Any) -> Database:
    """Return a `Database` with its own pool on an entry of `DATABASES`. The caller closes it.

    It takes part neither in Django's transactions nor in the rollback of a `TestCase`; use `session` for that. Further
    keyword arguments go to `sqlalchemy.create_engine`.

    Raises:
        ConfigurationError: the database is not PostgreSQL on psycopg 3.
    """
    url, role, options = _described(using)
    made = Database.open(url, **options, **engine_options)
    _assume_role(made.engine, role)
    return made


def async_database(using: str | None = None, **engine_options: Any) -> AsyncDatabase:
    """Return an `AsyncDatabase` on an entry of `DATABASES`, for async views. The caller closes it; see `database`."""
    url, role, options = _described(using)
    made = AsyncDatabase.open(url, **options, **engine_options)
    _assume_role(made.engine.sync_engine, role)
    return made


def database_settings(url: str | URL) -> dict[str, Any]:
    """Return an entry for `DATABASES` from a URL, such as that of an embedded server. Its query becomes OPTIONS.

    Raises:
        ConfigurationError: the URL is invalid.
    """
    read = read_url(url)
    options = dict(read.query)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": read.database or "",
        "USER": read.username or "",
        "PASSWORD": read.password or "",
        # In a URL, the directory of a Unix socket can only stand in the query.
        "HOST": read.host or options.pop("host", ""),
        "PORT": read.port or "",
        "OPTIONS": options,
    }


def check_backend(wrapper: Any) -> None:
    """Check that a database is PostgreSQL on psycopg 3.

    Raises:
        ConfigurationError: it is not.
    """
    if wrapper.vendor != "postgresql":
        message = (
            f"DATABASES[{wrapper.alias!r}] uses {wrapper.vendor}, but Rowspace requires the engine "
            "django.db.backends.postgresql with psycopg 3."
        )
        raise ConfigurationError(message)
    if wrapper.Database.__name__ != "psycopg":
        message = (
            f"DATABASES[{wrapper.alias!r}] uses {wrapper.Database.__name__}, but Rowspace requires psycopg 3 in "
            "Django. Run: pip install 'psycopg[binary]'. Django then prefers it automatically."
        )
        raise ConfigurationError(message)


def _described(using: str | None) -> tuple[URL, str | None, dict[str, Any]]:
    """Return the URL, the role to assume and the options of an engine."""
    wrapper = connections[alias_of(using)]
    check_backend(wrapper)
    # From the wrapper, not from the settings, because a test run has another NAME.
    given = wrapper.settings_dict
    options = {key: value for key, value in given["OPTIONS"].items() if key not in _DJANGO_ONLY}
    role, level = options.pop("assume_role", None), options.pop("isolation_level", None)
    # Like Django, disable prepared statements, which do not survive PgBouncer.
    connect_args = {"prepare_threshold": None, "client_encoding": "UTF8", **options}
    engine: dict[str, Any] = {"connect_args": connect_args}
    if level is not None:
        engine["isolation_level"] = IsolationLevel(level).name.replace("_", " ")
    return _url(given), role, engine


def _url(given: dict[str, Any]) -> URL:
    # From parts, so that no character of the password needs escaping.
    return URL.create(
        "postgresql+psycopg",
        username=given["USER"] or None,
        password=given["PASSWORD"] or None,
        host=given["HOST"] or None,
        port=int(given["PORT"]) if given["PORT"] else None,
        database="postgres" if given["NAME"] is None else str(given["NAME"]) or None,
    )


def _assume_role(engine: Any, role: str | None) -> None:
    if role is None:
        return

    @event.listens_for(engine, "connect")
    def assume(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("SELECT set_config('role', %s, false)", (role,))
        cursor.close()
        connection.commit()
