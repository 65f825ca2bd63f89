"""What lets go of an embedded server for a process that is killed, and cannot do so itself."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["unwatch", "watch"]

# Waits for a line, as whoever lets go in an ordinary way writes, or for the end of the last process that might write.
# With -P, no module is taken from the directory that the user happens to be in.
_WATCHER = """
exec 3<&0
{ read -r _ || [ ! -e "$1/postmaster.pid" ] || exec "$2" -P -m rowspace.embedded "$1" "$3"; } <&3 &
"""

#: By process and data directory, where to write the line: a fork holds it too, and has no right to.
_watched: dict[tuple[int, Path], int] = {}


def watch(data_dir: Path, cleanup_mode: str) -> None:
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


def unwatch(data_dir: Path) -> None:
    """Have it look after this process's use of a server no longer."""
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
            unwatch(data_dir)
