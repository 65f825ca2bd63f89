"""The embedded PostgreSQL (extra `embedded`): the user's own server, started on demand, in a data directory.

It listens only on a Unix socket, and stops when the last process that opened it ends, even if that is killed.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from sqlalchemy import URL, make_url

from rowspace.embedded._places import check_owner, check_path, make_user
from rowspace.embedded._watching import unwatch, watch
from rowspace.embedded._wheel import reason, start, wheel
from rowspace.errors import StoreUnavailable, mapped_errors

__all__ = ["DATABASE", "EmbeddedServer", "default_data_dir"]

#: The database that is made in the server.
DATABASE = "rowspace"


def default_data_dir() -> Path:
    """Return the directory of the server's data: `ROWSPACE_DATA_DIR`, else the user's data directory.

    Raises:
        StoreUnavailable: the variable is not set, and the user has no home directory.
    """
    given = os.environ.get("ROWSPACE_DATA_DIR")
    if given:
        return Path(given).expanduser().resolve()
    try:
        home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    except RuntimeError as error:
        message = (
            "The embedded PostgreSQL has no place, as this user has no home: set ROWSPACE_DATA_DIR to a directory."
        )
        raise StoreUnavailable(message) from error
    return Path(home) / "rowspace" / "postgresql-18"


class EmbeddedServer:
    """A running embedded server and its URL; `stop` releases it.

    Raises:
        MissingExtra: the extra `embedded` is not installed.
        StoreUnavailable: the server does not start; the message has the last line of its log, or says what is wrong
            with the directory's path.
    """

    def __init__(self, data_dir: Path | str | None = None, *, keep: bool = True) -> None:
        # Absolute, as the server does not start where this process does.
        self.data_dir: Path = Path(data_dir).expanduser().absolute() if data_dir else default_data_dir()
        check_path(self.data_dir)
        module, cleanup_mode = wheel(), "stop" if keep else "delete"
        try:
            self.data_dir.parent.mkdir(parents=True, exist_ok=True)
            if os.geteuid() == 0:
                make_user(module)
            check_owner(self.data_dir)
            server = start(module, self.data_dir, cleanup_mode)
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            message = f"The embedded PostgreSQL in {self.data_dir} does not start: {reason(error, self.data_dir)}"
            raise StoreUnavailable(message) from error
        self._server = server.__enter__()
        watch(self.data_dir, cleanup_mode)

    @property
    def url(self) -> URL:
        """The URL of the database, which is created on first use; it contains no password.

        Raises:
            StoreUnavailable: the server has stopped, or an environment variable of libpq points elsewhere.
        """
        # It names the socket. PGPORT says which where the server starts, and for a URL without, where it is opened.
        port = self._server.get_postmaster_info().port
        admin = make_url(self._server.get_uri()).set(drivername="postgresql+psycopg", port=port)
        with mapped_errors():
            _create_database(admin, self.data_dir)
        return admin.set(database=DATABASE)

    def stop(self) -> None:
        """Release the server; it stops when no other process uses it."""
        self._server.__exit__(None, None, None)
        if self._server._count <= 0:  # noqa: SLF001 -- of all that this process opened
            unwatch(self.data_dir)


def _create_database(admin: URL, data_dir: Path) -> None:
    import psycopg

    conninfo = {"host": admin.query["host"], "port": admin.port, "user": admin.username, "dbname": admin.database}
    with psycopg.connect(**conninfo, autocommit=True) as connection:  # type: ignore[arg-type]
        (reached,) = connection.execute("SHOW data_directory").fetchone() or ("",)
        if Path(reached) != data_dir.resolve():
            message = (
                f"The embedded PostgreSQL in {data_dir} is not what a connection leads to, but the one in {reached}. "
                "Unset PGHOSTADDR or PGSERVICE, or name that database in ROWSPACE_DATABASE_URL."
            )
            raise StoreUnavailable(message)
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if known is None:
            try:
                connection.execute(f'CREATE DATABASE "{DATABASE}"')
            except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                return  # another process was first, which is what we wanted
