"""`rowspace serve` as a process: by one worker and by two, on a database that is there and on the embedded server."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from typer.testing import CliRunner

from rowspace.cli.app import app
from rowspace.integrations.rest.metrics import MULTIPROCESS


@pytest.fixture(scope="session")
def url(new_shared_database):
    return new_shared_database()


class Served:
    """A server that runs: its process, those of its workers, and a client."""

    def __init__(self, process, workers):
        self.process = process
        self.address, self.pids, said = None, [], ""
        while self.address is None or len(self.pids) < workers:
            line = process.stderr.readline()
            assert line, f"it has ended before it began, and said: {said}"
            said += line
            if found := re.search(r"running on http://(\S+)", line):
                self.address = found[1]
            if found := re.search(r"Started server process \[(\d+)\]", line):
                self.pids.append(int(found[1]))
        # A connection a request, so that any worker may take it.
        limits = httpx.Limits(max_keepalive_connections=0)
        self.client = httpx.Client(base_url=f"http://{self.address}", limits=limits, timeout=20, trust_env=False)

    def counted(self, route):
        pattern = rf'^rowspace_http_requests_total{{method="GET",route="{route}",status="200"}} (\S+)$'
        found = re.search(pattern, self.client.get("/metrics").text, re.MULTILINE)
        return int(float(found[1])) if found else 0


@contextmanager
def serving(*options, workers=1, **variables):
    command = [sys.executable, "-m", "rowspace", "serve", "--port", "0", "--embedder", "none", *options]
    if workers > 1:
        command += ["--workers", str(workers)]
    environment = {**os.environ, **variables}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            served = Served(process, workers)
            with served.client:
                yield served
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.stderr.read()


def is_there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone(*pids):
    """Wait for processes that are told to end, but not for ever."""
    deadline = time.monotonic() + 20
    while any(is_there(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(is_there(pid) for pid in pids)


@pytest.mark.usefixtures("heeds_hangups")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_listens_on_loopback_and_stops_when_told(url, number):
    with serving(ROWSPACE_DATABASE_URL=url) as served:
        assert served.address.startswith("127.0.0.1:")
        assert served.client.get("/readyz").json() == {"status": "ready"}
        served.process.send_signal(number)
        served.process.wait(20)
        output = served.process.stderr.read()
    assert served.process.returncode == 0
    assert "Traceback" not in output


def test_two_workers_answer_and_count_as_one(url, tmp_path):
    def both_have_answered():
        return len([*tmp_path.glob("rowspace*/counter_*.db")]) == 2

    with serving(workers=2, ROWSPACE_DATABASE_URL=url, TMPDIR=str(tmp_path)) as served:
        sent = 0
        with ThreadPoolExecutor(4) as pool:
            while not both_have_answered() and sent < 4_000:
                statuses = [answer.status_code for answer in pool.map(served.client.get, ["/healthz"] * 8)]
                assert statuses == [200] * 8
                sent += 8
        assert both_have_answered()
        assert served.client.get("/readyz").json() == {"status": "ready"}
        # Whichever worker is asked says what all of them did.
        assert [served.counted("/healthz") for _ in range(4)] == [sent] * 4

        os.kill(served.pids[0], signal.SIGKILL)
        assert "died" in next(line for line in served.process.stderr if "Child process" in line)
        assert served.counted("/healthz") == sent
        served.process.send_signal(signal.SIGTERM)
        output = served.process.stderr.read()
        served.process.wait(20)
    assert served.process.returncode == 0
    assert "Traceback" not in output
    pids = [*served.pids, *map(int, re.findall(r"process \[(\d+)\]", output))]
    assert len({*pids}) >= 4
    assert gone(*pids)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_wait_for_no_acknowledgement_in_the_middle_of_an_answer(monkeypatch, url, workers):
    """The socket of several workers is uvicorn's, and of a kind whose connections asyncio leaves as they are."""
    began, options = [], {}
    monkeypatch.setattr("uvicorn.run", lambda *_, **given: options.update(given))
    # Those of this process, which the command sets for its workers.
    for name in ("ROWSPACE_DATABASE_URL", "ROWSPACE_EMBEDDER", MULTIPROCESS):
        monkeypatch.setenv(name, "")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    run = CliRunner().invoke(app, ["--url", url, "serve", "--embedder", "none", "--workers", str(workers)])
    for number, handler in before.items():
        signal.signal(number, handler)
    assert run.exit_code == 0, run.output
    # A worker that loads an embedder on a busy machine is not taken for one that hangs.
    assert options["timeout_worker_healthcheck"] >= 30

    class Seen(options["http"]):
        def connection_made(self, transport):
            super().connection_made(transport)
            connection = transport.get_extra_info("socket")
            began.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    config = uvicorn.Config(FastAPI(), http=Seen, log_config=None, ws="none")
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        # Whoever comes before the server does waits for it.
        listener.listen()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        httpx.get(f"http://127.0.0.1:{listener.getsockname()[1]}/openapi.json", trust_env=False, timeout=20)
        server.should_exit = True
        thread.join()
    assert began == [1]


def test_a_variable_that_was_mistyped_is_named(monkeypatch, url):
    monkeypatch.setattr("uvicorn.run", lambda *_, **__: None)
    for name in ("ROWSPACE_DATABASE_URL", "ROWSPACE_EMBEDDER"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("ROWSPACE_API_KEY", "s3cret")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    run = CliRunner().invoke(app, ["--url", url, "serve", "--embedder", "none"])
    for number, handler in before.items():
        signal.signal(number, handler)
    assert run.exit_code == 0, run.output
    assert run.stderr == (
        "Warning: ROWSPACE_API_KEY is not a setting and has no effect. Did you mean ROWSPACE_API_KEYS?\n"
    )


def test_two_workers_on_the_embedded_server_which_stops_with_them(tmp_path):
    data = tmp_path / "pg"
    with serving(workers=2, ROWSPACE_DATABASE_URL="", ROWSPACE_DATA_DIR=str(data)) as served:
        assert served.client.get("/readyz").json() == {"status": "ready"}
        made = served.client.post("/api/collections", json={"name": "notes", "dimension": 2})
        assert made.status_code == 201
        with ThreadPoolExecutor(4) as pool:
            seen = {answer.text for answer in pool.map(served.client.get, ["/api/collections/notes"] * 16)}
        assert len(seen) == 1
        postgres = int((data / "postmaster.pid").read_text().split()[0])
        assert is_there(postgres)
        served.process.send_signal(signal.SIGTERM)
        served.process.stderr.read()
        served.process.wait(20)
    assert served.process.returncode == 0
    assert gone(*served.pids, postgres)


def refused(host, port):
    """Wait until nobody takes connections, but not for ever."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, port), timeout=20).close()
        except ConnectionRefusedError:
            return True
        time.sleep(0.02)
    return False


def test_workers_that_finish_a_request_keep_no_others_waiting(url):
    with serving(workers=2, ROWSPACE_DATABASE_URL=url) as served:
        host, port = served.address.split(":")
        with socket.create_connection((host, int(port)), timeout=20) as client:
            body = b'{"name": "stopping", "dimension": 2}'
            lines = "POST /api/collections HTTP/1.1", f"Host: {host}", "Content-Type: application/json"
            more = f"Content-Length: {len(body)}", "Expect: 100-continue", "", ""
            client.sendall("\r\n".join([*lines, *more]).encode())
            # A worker has begun with it, and waits for the body.
            assert client.recv(1000).startswith(b"HTTP/1.1 100")
            served.process.send_signal(signal.SIGTERM)
            others_are_refused = refused(host, int(port))
            client.sendall(body)
            assert client.recv(1000).startswith(b"HTTP/1.1 201")
        served.process.stderr.read()
        served.process.wait(20)
    assert others_are_refused
    assert served.process.returncode == 0


def test_workers_end_with_the_process_that_started_them(url, tmp_path):
    # Who is killed leaves the directory of the counts behind.
    with serving(workers=2, ROWSPACE_DATABASE_URL=url, TMPDIR=str(tmp_path)) as served:
        served.process.kill()
        served.process.wait(20)
        assert gone(*served.pids)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_page_that_makes_a_name_of_its_own_for_this_machine_is_refused(url, workers):
    """To a browser it is a page of the same origin: it would read and delete what it likes."""
    origins = '["https://notes.example.org"]'
    with serving(workers=workers, ROWSPACE_DATABASE_URL=url, ROWSPACE_CORS_ORIGINS=origins) as served:

        def status(host, method="GET", path="/api/collections", **headers):
            return served.client.request(method, path, headers={"Host": host, **headers}).status_code

        refused = served.client.get("/api/collections", headers={"Host": "elsewhere.example:8000"})
        assert (refused.status_code, refused.headers["content-type"]) == (421, "application/problem+json")
        assert "got 'elsewhere.example:8000': this server has no API keys" in refused.text
        assert status("elsewhere.example", "DELETE", "/api/collections/x", Origin="http://elsewhere.example") == 421
        assert [status(host) for host in ("127.0.0.1.elsewhere.example", "localhost.example", "[", "a:b:c")] == [
            421
        ] * 4
        assert [status(host) for host in ("localhost:8000", "127.0.0.1", "[::1]:8000", "LOCALHOST")] == [200] * 4
        assert status("notes.example.org") == 200


def test_with_keys_or_beyond_loopback_any_name_is_as_good(url):
    keys = f'[{{"sha256": "{"0" * 64}"}}]'
    elsewhere = {"Host": "elsewhere.example"}
    with serving(ROWSPACE_DATABASE_URL=url, ROWSPACE_API_KEYS=keys) as served:
        assert served.client.get("/api/collections", headers=elsewhere).status_code == 401
    with serving("--host", "0.0.0.0", ROWSPACE_DATABASE_URL=url) as served:  # noqa: S104 -- that is the point
        assert served.client.get("/api/collections", headers=elsewhere).status_code == 200


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_that_is_taken(url, workers):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-m", "rowspace", "serve", "--embedder", "none", "--workers", workers]
        command += ["--port", str(taken.getsockname()[1])]
        ended = subprocess.run(
            command, env={**os.environ, "ROWSPACE_DATABASE_URL": url}, capture_output=True, text=True, check=False
        )
    assert (ended.returncode, "ddress already in use" in ended.stderr) == (1, True)


def test_what_is_wrong_with_the_settings_is_one_line_and_no_key(url):
    keys = '[{"key": "sk-secret"}]'
    environment = {**os.environ, "ROWSPACE_DATABASE_URL": url, "ROWSPACE_API_KEYS": keys}
    command = [sys.executable, "-m", "rowspace", "serve", "--embedder", "none"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "Error: ROWSPACE_API_KEYS is invalid: 0.sha256: Field required.\n"
