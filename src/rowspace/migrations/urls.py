"""URLs for migrations: whatever driver the application uses, migrations run synchronously on psycopg 3."""

from __future__ import annotations

from sqlalchemy import URL

from rowspace.errors import ConfigurationError
from rowspace.urls import read_url

__all__ = ["migration_url"]

# Options that only asyncpg has, or that have another name there (SQLAlchemy's manual, "asyncpg").
_ASYNCPG_ONLY = ("prepared_statement_cache_size", "statement_cache_size", "prepared_statement_name_func")


def migration_url(value: str | URL) -> URL:
    """Return the URL for psycopg 3; `postgres://` and every driver of PostgreSQL are understood.

    Raises:
        ConfigurationError: not a URL, or not of PostgreSQL. The message omits the value, which may contain a password.
    """
    url = read_url(value)
    dialect, _, driver = url.drivername.partition("+")
    if dialect not in {"postgresql", "postgres"}:
        message = f"Rowspace needs a PostgreSQL URL (postgresql://user@host/name), got one for {dialect!r}."
        raise ConfigurationError(message)
    if driver == "asyncpg":
        url = _from_asyncpg(url)
    return url.set(drivername="postgresql+psycopg")


def _from_asyncpg(url: URL) -> URL:
    query = {key: value for key, value in url.query.items() if key not in _ASYNCPG_ONLY}
    if "ssl" in query:
        query["sslmode"] = query.pop("ssl")
    return url.set(query=query)
