"""Database URLs as text. Errors never repeat a URL, because it may contain a password; printed URLs omit it."""

from __future__ import annotations

import re

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from rowspace.errors import ConfigurationError

__all__ = ["read_url", "shown"]

#: The part of a URL that SQLAlchemy reads as the driver, the user and the password.
_CREDENTIALS = re.compile(r"[\w+]+://(?:[^:/]*(?::[^@]*)?@)?")


def read_url(given: str | URL) -> URL:
    """Return a URL.

    Raises:
        ConfigurationError: it is not a URL. The message does not repeat it.
    """
    try:
        url = make_url(given)
    except (ArgumentError, ValueError):
        url = None
    if url is None or _misread(given, url):
        message = (
            "The database URL cannot be read; expected postgresql://user:password@host:port/database, with "
            "@ : / ? # and % in the user and the password written as %40 %3A %2F %3F %23 %25. To name several hosts, "
            "use postgresql://user:password@/database?host=a:5432&host=b:5432."
        )
        # Without the cause: some versions of SQLAlchemy print the text with the password.
        raise ConfigurationError(message)
    return url


def _misread(given: str | URL, url: URL) -> bool:
    """Return whether part of the password was parsed as the host, the database or the query, and would be shown."""
    if isinstance(given, str):
        place, _, query = _CREDENTIALS.sub("", given, count=1).partition("?")
        _, at, after = query.partition("@")
        return "@" in place or "/" in after or bool(at and "/" not in place)
    return "@" in (url.host or "") or {":", "@"} <= set(url.database or "")


def shown(url: URL) -> str:
    """Return a URL as text without a password, also one in its query."""
    plain = url.difference_update_query([key for key in url.query if "password" in key.lower()])
    return plain.render_as_string(hide_password=True)
