"""`rowspace ui` as a person starts it: a process on an embedded server of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic, sleep
from urllib.error import URLError
from urllib.request import urlopen

import pytest


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url, process, seconds=60):
    """Return what a URL says once it says something."""
    deadline = monotonic() + seconds
    while True:
        try:
            with urlopen(url, timeout=5) as response:  # noqa: S310 -- it is our own
                return response.read().decode()
        except URLError:
            assert process.poll() is None, process.stderr.read()
            assert monotonic() < deadline
            sleep(0.1)


def upgraded(port, host):
    """Return the status of a connection that a page of the application opens."""
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    headers |= {"Host": host, "Origin": f"http://{host}", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    lines = ["GET /_stcore/stream HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection.recv(100).split()[1].decode()


@pytest.mark.usefixtures("heeds_hangups")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_application_is_served_until_a_signal(number):
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="rs", ignore_cleanup_errors=True) as name:
        with subprocess.Popen(
            [sys.executable, "-m", "rowspace", "ui", "--no-browser", "--port", str(port)],
            env={**os.environ, "ROWSPACE_DATA_DIR": f"{name}/pg"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert answers(f"http://127.0.0.1:{port}/_stcore/health", process) == "ok"
                assert upgraded(port, f"127.0.0.1:{port}") == "101"
                # A page whose host has become the address of this machine: to a browser, one of the same origin.
                assert upgraded(port, f"elsewhere.example:{port}") == "403"
                process.send_signal(number)
                out, err = process.communicate(timeout=60)
            finally:
                process.kill()
        assert process.returncode == 0, err
        assert f"http://127.0.0.1:{port}" in out
        assert err.startswith(f"Showing the embedded PostgreSQL in {name}/pg.")
        assert "Traceback" not in out + err
        assert not Path(name, "pg", "postmaster.pid").exists()


def test_without_the_extra_the_command_names_it():
    code = (
        "import sys; sys.modules['streamlit'] = None; from rowspace.__main__ import main; sys.argv[1:] = ['ui']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "Error: 'streamlit' is not installed. Install it with: pip install 'rowspace[streamlit]'\n"
