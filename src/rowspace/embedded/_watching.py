"""Release an embedded server for a process that was killed, and could not release it itself."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["unwatch", "watch"]

# Waits for a line, which a process writes when it releases the server, or for the end of the last possible writer.
# -P prevents Python from importing modules from the current directory.
_WATCHER = """
exec 3<&0
{ read -r _ || [ ! -e "$1/postmaster.pid" ] || exec "$2" -P -m rowspace.embedded "$1" "$3"; } <&3 &
"""

#: The pipe to write the line to, by process and data directory. A forked process inherits it, but must not use it.
_watched: dict[tuple[int, Path], int] = {}


def watch(data_dir: Path, cleanup_mode: str) -> None:
    """Start a watcher that releases the server if this process is killed.

    The watcher is not a child, so nobody has to wait for it. It has its own session, so Ctrl-C does not reach it.
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


def unwatch(data_dir: Path) -> None:
    """Stop watching this process's use of a server."""
    descriptor = _watched.pop((os.getpid(), data_dir), None)
    if descriptor is None:
        return
    with suppress(BrokenPipeError):  # the watcher was killed
        os.write(descriptor, b"\n")
    os.close(descriptor)


@atexit.register
def _unwatch_all() -> None:
    # The wheel was imported later, so its own exit handler has already released the server.
    for process_id, data_dir in [*_watched]:
        if process_id == os.getpid():
            unwatch(data_dir)
