"""URLs for migrations: whatever driver the application uses, migrations run synchronously on psycopg 3."""

from __future__ import annotations

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from rowspace.errors import ConfigurationError

__all__ = ["migration_url"]

# What asyncpg calls by another name, or has alone (SQLAlchemy's manual, "asyncpg").
_ASYNCPG_ONLY = ("prepared_statement_cache_size", "statement_cache_size", "prepared_statement_name_func")


def migration_url(value: str | URL) -> URL:
    """Return the URL for psycopg 3; `postgres://` and every driver of PostgreSQL are understood.

    Raises:
        ConfigurationError: not a URL, or not PostgreSQL's. The message leaves the value out: it may hold a password.
    """
    url = _parsed(value)
    dialect, _, driver = url.drivername.partition("+")
    if dialect not in {"postgresql", "postgres"}:
        message = f"Rowspace needs a PostgreSQL URL (postgresql://user@host/name), got one for {dialect!r}."
        raise ConfigurationError(message)
    if driver == "asyncpg":
        url = _from_asyncpg(url)
    return url.set(drivername="postgresql+psycopg")


def _parsed(value: str | URL) -> URL:
    try:
        return make_url(value)
    except (ArgumentError, ValueError):
        # `from None`: SQLAlchemy's own message may quote the value.
        message = "The database URL cannot be read. It looks like postgresql://user:password@host:5432/name."
        raise ConfigurationError(message) from None


def _from_asyncpg(url: URL) -> URL:
    query = {key: value for key, value in url.query.items() if key not in _ASYNCPG_ONLY}
    if "ssl" in query:
        query["sslmode"] = query.pop("ssl")
    return url.set(query=query)
