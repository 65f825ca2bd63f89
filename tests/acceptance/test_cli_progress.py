"""The bar that a person sees on a terminal while a file is loaded."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS = 1_000


@pytest.fixture
def files(tmp_path):
    """One load in two formats, by suffix."""
    matrix = np.ones((ROWS, 3), np.float32)
    ids = [str(at) for at in range(ROWS)]
    pq.write_table(pa.table({"id": ids, "content": ids, "embedding": matrix.tolist()}), tmp_path / "x.parquet")
    np.save(tmp_path / "x.npy", matrix)
    (tmp_path / "x.ids.jsonl").write_text("".join(f'{{"id": "{id_}", "content": "x"}}\n' for id_ in ids))
    return {file.suffix: file for file in tmp_path.iterdir()}


@pytest.mark.parametrize("suffix", [".parquet", ".npy"])
def test_a_terminal_shows_how_many_of_how_many_how_fast_and_what_is_left(new_database, files, suffix):
    environment = {**os.environ, "ROWSPACE_DATABASE_URL": new_database(), "TERM": "xterm", "COLUMNS": "100"}
    arguments = ["ingest", str(files[suffix]), "-c", "x", "--embedding", "embedding"]
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-m", "rowspace", *arguments], env=environment, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        # A terminal whose other end is closed is an error on Linux.
        try:
            while part := os.read(ours, 65_536):
                shown += part
        except OSError:
            pass
        os.close(ours)
    assert process.returncode == 0, shown
    assert re.search(r"Loading.*1,000 of 1,000, [\d,]+/s, 0:00 left", shown.decode()), shown
    assert "1,000 documents into 'x': 1,000 new" in shown.decode()
