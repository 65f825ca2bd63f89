"""A load whose process is killed, and goes on in the next one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from time import monotonic, sleep

import psycopg
import pytest
from sqlalchemy import make_url

from rowspace import Database, DocumentService, LoadReport
from rowspace.errors import StoreUnavailable
from rowspace.testing import HashingEmbedder

ROWS = 6_000


@pytest.fixture
def url(new_database):
    return new_database()


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "rows.jsonl"
    with path.open("w") as lines:
        for at in range(ROWS):
            lines.write(json.dumps({"id": f"{at}", "content": f"text {at}", "v": [at, 1, 2]}) + "\n")
    return path


def start(url, source, **options):
    command = [sys.executable, "-m", "rowspace", "ingest", str(source), "-c", "rows", "--embedding", "v", "--resume"]
    return subprocess.Popen(
        command, env={**os.environ, "ROWSPACE_DATABASE_URL": url}, stderr=subprocess.PIPE, text=True, **options
    )


def connected(url):
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)


def received(url):
    """Return how many documents the load has recorded, as far as that is committed."""
    with connected(url) as connection:
        found = connection.execute("SELECT state -> 'report' -> 'received' FROM collection_loads").fetchone()
    return found[0] if found else 0


class Cut(HashingEmbedder):
    """Has the server end every other session of the database, in the middle of the third batch."""

    def __init__(self, url):
        super().__init__(8)
        self.url, self.calls = url, 0

    def embed_documents(self, texts):
        self.calls += 1
        if self.calls == 3:
            with connected(self.url) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        return super().embed_documents(texts)


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_load_goes_on_after_a_lost_server(url, driver):
    texts = [f"text {at}" for at in range(50)]
    with Database.open(url.replace("+psycopg", f"+{driver}")) as database:
        service = DocumentService(database, Cut(url))
        service.create_collection("rows", 8)
        with pytest.raises(StoreUnavailable):
            service.add("rows", texts, resume="k", batch_size=10)
        assert service.count("rows") == received(url) == 20
        assert service.add("rows", texts, resume="k", batch_size=10) == LoadReport(50, inserted=50)
        assert service.count("rows") == 50


@pytest.mark.parametrize("end", ["kill -9", "Ctrl-C"])
def test_a_killed_load_goes_on_where_it_stopped(url, source, end):
    # A pipe, so that the child waits in the middle for as long as it takes to end it there.
    pipe = source.with_suffix(".fifo.jsonl")
    os.mkfifo(pipe)
    half = source.read_text().splitlines(keepends=True)[: ROWS // 2 + 100]
    with start(url, pipe, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as process:
        with pipe.open("w") as lines:
            lines.writelines(half)
            lines.flush()
            deadline = monotonic() + 60
            while received(url) < ROWS // 2:
                assert monotonic() < deadline
                sleep(0.02)
            process.send_signal(signal.SIGKILL if end == "kill -9" else signal.SIGINT)
            process.wait(60)
        process.stderr.read()
    assert process.returncode == {"kill -9": -9, "Ctrl-C": 130}[end]
    assert received(url) == ROWS // 2
    pipe.unlink()
    # The same name, as an interrupted load is known by it.
    source.rename(pipe)
    with start(url, pipe) as process:
        said = process.stderr.read()
    assert process.returncode == 0, said
    assert f"{ROWS:,} documents into 'rows': {ROWS:,} new, 0 updated, 0 unchanged, 0 duplicates" in said
    with connected(url) as connection:
        counts = "SELECT count(*), count(DISTINCT id), sum((embedding::real[])[1]::float8) FROM documents"
        count, ids, total = connection.execute(counts).fetchone()
        (indexes,) = connection.execute(
            "SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'ix_documents_%'"
        ).fetchone()
        (left,) = connection.execute("SELECT count(*) FROM collection_loads").fetchone()
    assert (count, ids, total) == (ROWS, ROWS, sum(range(ROWS)))
    assert (indexes, left) == (3, 0)
