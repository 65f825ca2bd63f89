"""The command line as a person or a script runs it: processes of their own, on an embedded server of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic, sleep

import psycopg
import pytest
from sqlalchemy import make_url

from rowspace.embedded import EmbeddedServer

ROWSPACE = [sys.executable, "-m", "rowspace"]


def default_signals():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Cli:
    """Runs `rowspace` with an environment."""

    def __init__(self, **environment: str) -> None:
        self.environment = os.environ | environment

    def start(self, *arguments, **options):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        # A run in the background may have been started with these ignored, and what is ignored is inherited.
        options |= {"preexec_fn": default_signals}
        return subprocess.Popen([*ROWSPACE, *arguments], env=self.environment, encoding="utf-8", **pipes, **options)

    def __call__(self, *arguments, given="", code=0):
        process = self.start(*arguments)
        out, err = process.communicate(given, timeout=300)
        assert process.returncode == code, (out, err)
        assert "Traceback" not in err
        return subprocess.CompletedProcess(arguments, code, out, err)

    def collections(self):
        return {one["name"]: one for one in json.loads(self("collections", "--json").stdout)}


@pytest.fixture(scope="module")
def data_dir():
    # A short path: the name of a Unix socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="rs", ignore_cleanup_errors=True) as name:
        yield Path(name) / "pg"


@pytest.fixture(scope="module")
def server(data_dir):
    """The embedded server, which is held open so that not every command starts it."""
    server = EmbeddedServer(data_dir)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def cli(server, data_dir):
    """The command on that server."""
    run = Cli(ROWSPACE_DATA_DIR=str(data_dir))
    run("db", "upgrade")
    return run


@pytest.fixture
def scratch(new_database):
    """The command on a database of the test's own, by URL."""
    return Cli(ROWSPACE_DATABASE_URL=new_database())


def jsonl(*documents):
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in documents)


ANIMALS = jsonl(
    {"id": "cat", "content": "a cat sleeps on the sofa", "legs": 4},
    {"id": "鸟", "content": "一只鸟在天上飞", "legs": 2},
    {"id": "db", "content": "数据库 stores rows", "legs": 0},
)


@pytest.fixture(scope="module")
def animals(cli):
    cli("ingest", "-", "--format", "jsonl", "--collection", "animals", given=ANIMALS)
    return "animals"


def test_ingest_and_search_in_chinese(cli, animals):
    assert cli("search", "数据库", "-c", animals).stdout.splitlines()[1].split("\t")[3:] == ["db", "数据库 stores rows"]
    hits = json.loads(cli("search", "bird", "-c", animals, "-k", "1", "--json").stdout)
    assert [(hit["rank"], hit["id"], hit["metadata"]) for hit in hits] == [(1, "鸟", {"legs": 2})]
    assert hits[0]["distance"] == pytest.approx(1 - hits[0]["similarity"])


def test_sql_is_printed_and_runs(cli, animals, data_dir):
    assert (
        "BEGIN;\nSET LOCAL hnsw.ef_search = 77;\nSELECT "
        in cli("search", "x", "-c", animals, "--sql", "--ef-search", "77").stdout
    )
    sql = cli("search", "x", "-c", animals, "--sql", "--filter", '{"legs": 4}').stdout
    comments, statements = sql.split("BEGIN;\n")
    assert '-- :rowspace_document = "{\\"legs\\": 4}"\n' in comments
    assert "-- :rowspace_query = \"the embedding of 'x'\"\n" in comments
    assert "-- If rowspace_more is true, " in statements
    values = {":rowspace_query": f"'{[1.0] * 512}'", ":rowspace_document": "'{\"legs\": 4}'"}
    for name, value in values.items():
        statements = statements.replace(name, value)
    with psycopg.connect(host=str(data_dir), user="postgres", dbname="rowspace") as connection:
        select = statements.partition("COMMIT;")[0].strip().removesuffix(";")
        assert [(row[0], row[2]) for row in connection.execute(select)] == [(None, "cat")]


def test_a_wrong_login_is_one_line(rowspace_url, scratch):
    url = make_url(rowspace_url).set(username="nobody-here", password="p4ssw0rd")
    done = scratch("--url", url.render_as_string(hide_password=False), "collections", code=3)
    assert done.stderr.startswith("Error: ")
    assert "nobody-here" in done.stderr
    assert "p4ssw0rd" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_waiting_for_a_server_that_does_not_come():
    cli = Cli(ROWSPACE_DATABASE_URL="postgresql://u:p4ssw0rd@127.0.0.1:1/x")
    began = monotonic()
    done = cli("db", "upgrade", "--wait", "1", code=3)
    assert monotonic() - began > 0.5
    assert "Waiting: " in done.stderr
    assert "p4ssw0rd" not in done.stderr


# More than a batch, so that some are written, and less than a pipe holds, so that writing them here does not wait.
SOME = jsonl(*({"id": str(number), "content": f"text {number}"} for number in range(550)))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_in_mid_load_leaves_nothing(cli, number, code):
    with cli.start("ingest", "-", "--format", "jsonl", "-c", "interrupted") as process:
        process.stdin.write(SOME)
        process.stdin.flush()
        wait_for_load(cli)
        process.send_signal(number)
        err = process.stderr.read()
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert number != signal.SIGINT or err.endswith("Interrupted. Nothing was written.\n")
    assert "interrupted" not in cli.collections()


def wait_for_load(cli, seconds=60):
    """Return when some session has a transaction open in which it writes."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rowspace' AND backend_xid IS NOT NULL"
    deadline = monotonic() + seconds
    with psycopg.connect(host=cli.environment["ROWSPACE_DATA_DIR"], user="postgres", dbname="rowspace") as connection:
        connection.autocommit = True
        while not connection.execute(query).fetchone()[0]:
            assert monotonic() < deadline
            sleep(0.05)


def test_a_closed_pipe_is_quiet(cli, animals):
    with cli.start("search", "x", "-c", animals) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_streams_that_are_closed(cli, animals):
    """As a daemon may start it: what is data is an error, what is said goes nowhere."""

    def run(command):
        shell = ["sh", "-c", command, *ROWSPACE]
        done = subprocess.run(shell, env=cli.environment, capture_output=True, text=True, timeout=300, check=False)
        return done.returncode, done.stdout[:1], done.stderr

    bad = "Error: [Errno 9] Bad file descriptor\n"
    assert run(f'"$0" "$@" export {animals} - 2>&- <&-') == (0, "{", "")
    assert run(f'"$0" "$@" export {animals} - >&-') == (1, "", bad)
    assert run(f'"$0" "$@" ingest - --format jsonl -c {animals} <&-') == (1, "", bad)
    assert run('"$0" "$@" --version >&-') == (1, "", bad)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_output_that_is_not_utf8(server, animals, options):
    # By its URL: the wheel knows a directory in UTF-8 alone, and here that of the run may have any name.
    url = server.url.render_as_string(hide_password=False)
    ascii_only = Cli(ROWSPACE_DATABASE_URL=url, LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    done = ascii_only("search", "数据库", "-c", animals, "-k", "1", *options)
    assert "\\u6570\\u636e\\u5e93 stores rows" in done.stdout
    assert not options or json.loads(done.stdout)[0]["content"] == "数据库 stores rows"


def test_the_demo(data_dir, cli):
    """The main job in full: the first run loads, the second finds it; the obvious answer is among the first five."""
    first = cli("demo")
    second = cli("demo")
    assert "Embedded and stored" in first.stderr
    assert "from an earlier run" in second.stderr
    assert "Embedded and stored" not in second.stderr
    assert first.stdout == second.stdout
    for question in ("parse a JSON string", "解析 JSON 字符串"):
        answers = first.stdout.partition(question)[2].partition("\n\n")[0]
        assert " json.loads " in answers
    assert str(data_dir) in first.stdout
    assert "--collection python-docs" in first.stdout
    info = cli.collections()["python-docs"]
    assert info["documents"] > 4_500
    assert info["index"]["method"] == "hnsw"


def test_the_demo_heals_an_interrupted_run(cli):
    with cli.start("demo", "--limit", "2000", "--collection", "small") as process:
        wait_for_load(cli)
        process.send_signal(signal.SIGINT)
        assert process.stderr.read().endswith("Interrupted.\n")
    assert process.returncode == 130
    assert "small" not in cli.collections()
    assert "Embedded and stored 20 documents" in cli("demo", "--limit", "20", "--collection", "small").stderr


def test_the_server_stops_with_the_last_command(tmp_path):
    with tempfile.TemporaryDirectory(prefix="rs", ignore_cleanup_errors=True) as name:
        cli = Cli(ROWSPACE_DATA_DIR=f"{name}/pg")
        assert cli("db", "current", code=3).stdout == "nothing\n"
        assert not Path(name, "pg", "postmaster.pid").exists()
