"""Engines of Rowspace's own from Django's `DATABASES`: for async code, and for work beside Django's transaction."""

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

# Of OPTIONS, what Django keeps to itself: its own pool, its cursors and adapters. Two more become the engine's.
_DJANGO_ONLY = {"pool", "server_side_binding", "cursor_factory", "context"}


def database(using: str | None = None, **engine_options: Any) -> Database:
    """Return a `Database` with a pool of its own on what `DATABASES` says; close it in the end.

    It does not take part in Django's transactions, nor in the rollback of a `TestCase`: that is what `session` is for.
    Further keywords go to `sqlalchemy.create_engine`.

    Raises:
        ConfigurationError: the database is not PostgreSQL on psycopg 3.
    """
    url, role, options = _described(using)
    made = Database.open(url, **options, **engine_options)
    _assume_role(made.engine, role)
    return made


def async_database(using: str | None = None, **engine_options: Any) -> AsyncDatabase:
    """Return an `AsyncDatabase` on what `DATABASES` says, for async views; close it in the end; see `database`."""
    url, role, options = _described(using)
    made = AsyncDatabase.open(url, **options, **engine_options)
    _assume_role(made.engine.sync_engine, role)
    return made


def database_settings(url: str | URL) -> dict[str, Any]:
    """Return an entry for `DATABASES` from a URL, such as that of an embedded server; what follows ? becomes OPTIONS.

    Raises:
        ConfigurationError: it is not a URL.
    """
    read = read_url(url)
    options = dict(read.query)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": read.database or "",
        "USER": read.username or "",
        "PASSWORD": read.password or "",
        # A Unix socket's directory has no place in a URL but after the question mark.
        "HOST": read.host or options.pop("host", ""),
        "PORT": read.port or "",
        "OPTIONS": options,
    }


def check_backend(wrapper: Any) -> None:
    """Refuse a database that is not PostgreSQL on psycopg 3.

    Raises:
        ConfigurationError: it is not.
    """
    if wrapper.vendor != "postgresql":
        message = (
            f"DATABASES[{wrapper.alias!r}] is {wrapper.vendor}: Rowspace needs the engine "
            "django.db.backends.postgresql with psycopg 3."
        )
        raise ConfigurationError(message)
    if wrapper.Database.__name__ != "psycopg":
        message = (
            f"DATABASES[{wrapper.alias!r}] runs on {wrapper.Database.__name__}: Rowspace works with psycopg 3 in "
            "Django. Install it, pip install 'psycopg[binary]'; Django prefers it by itself."
        )
        raise ConfigurationError(message)


def _described(using: str | None) -> tuple[URL, str | None, dict[str, Any]]:
    """Return the URL, the role to assume and the options of an engine."""
    wrapper = connections[alias_of(using)]
    check_backend(wrapper)
    # Of the wrapper, not of the settings: a test run has another NAME.
    given = wrapper.settings_dict
    options = {key: value for key, value in given["OPTIONS"].items() if key not in _DJANGO_ONLY}
    role, level = options.pop("assume_role", None), options.pop("isolation_level", None)
    # As in Django: prepared statements do not survive PgBouncer.
    connect_args = {"prepare_threshold": None, "client_encoding": "UTF8", **options}
    engine: dict[str, Any] = {"connect_args": connect_args}
    if level is not None:
        engine["isolation_level"] = IsolationLevel(level).name.replace("_", " ")
    return _url(given), role, engine


def _url(given: dict[str, Any]) -> URL:
    # From parts: no character of a password has to be escaped.
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
