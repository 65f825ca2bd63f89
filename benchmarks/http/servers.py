"""The two servers. Each is a uvicorn process with one worker."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Server", "serve"]


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    url: str
    pid: int

    @property
    def memory(self) -> float:
        """The resident memory in MiB."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextmanager
def serve(factory: str, environment: Mapping[str, str]) -> Iterator[Server]:
    """Run the application from a factory, `module:name`, until the end of the block.

    Raises:
        RuntimeError: the server does not start.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--factory", factory, "--port", str(port), "--log-level", "warning"]
    process = subprocess.Popen([*command, "--no-access-log"], env={**os.environ, **environment})
    try:
        _wait(f"http://127.0.0.1:{port}/openapi.json", process)
        yield Server(f"http://127.0.0.1:{port}", process.pid)
    finally:
        process.terminate()
        process.wait()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 -- its own address
                return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
    message = f"The server at {url} does not start."
    raise RuntimeError(message)
