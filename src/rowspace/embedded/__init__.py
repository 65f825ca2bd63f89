"""The embedded PostgreSQL (extra `embedded`): a server of the current user, started on demand, in a data directory.

It listens only on a Unix socket. It stops when the last process that opened it ends, even if that process is killed.
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

#: The database that is created in the server.
DATABASE = "rowspace"


def default_data_dir() -> Path:
    """Return the data directory of the server: `ROWSPACE_DATA_DIR`, or a default below the user's data directory.

    Raises:
        StoreUnavailable: the variable is not set, and the user has no home directory.
    """
    given = os.environ.get("ROWSPACE_DATA_DIR")
    if given:
        return Path(given).expanduser().resolve()
    try:
        home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    except RuntimeError as error:
        message = "The embedded PostgreSQL needs a data directory, and this user has no home. Set ROWSPACE_DATA_DIR."
        raise StoreUnavailable(message) from error
    return Path(home) / "rowspace" / "postgresql-18"


class EmbeddedServer:
    """A running embedded server and its URL. `stop` releases it.

    Raises:
        MissingExtra: the extra `embedded` is not installed.
        StoreUnavailable: the server does not start. The message contains the last line of its log, or the problem with
            the path of the directory.
    """

    def __init__(self, data_dir: Path | str | None = None, *, keep: bool = True) -> None:
        # An absolute path, because the server starts in another working directory.
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
        # The wheel's URL names the socket. PGPORT determines its port, both when the server starts and when a URL
        # without a port is opened.
        port = self._server.get_postmaster_info().port
        admin = make_url(self._server.get_uri()).set(drivername="postgresql+psycopg", port=port)
        with mapped_errors():
            _create_database(admin, self.data_dir)
        return admin.set(database=DATABASE)

    def stop(self) -> None:
        """Release the server. It stops when no other process uses it."""
        self._server.__exit__(None, None, None)
        if self._server._count <= 0:  # noqa: SLF001 -- the number of servers that this process has open
            unwatch(self.data_dir)


def _create_database(admin: URL, data_dir: Path) -> None:
    import psycopg

    conninfo = {"host": admin.query["host"], "port": admin.port, "user": admin.username, "dbname": admin.database}
    with psycopg.connect(**conninfo, autocommit=True) as connection:  # type: ignore[arg-type]
        (reached,) = connection.execute("SHOW data_directory").fetchone() or ("",)
        if Path(reached) != data_dir.resolve():
            message = (
                f"Expected to reach the embedded PostgreSQL in {data_dir}, but reached the one in {reached}. "
                "Unset PGHOSTADDR or PGSERVICE, or name that database in ROWSPACE_DATABASE_URL."
            )
            raise StoreUnavailable(message)
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if known is None:
            try:
                connection.execute(f'CREATE DATABASE "{DATABASE}"')
            except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                return  # another process has just created it
