"""Exports that do not fit: nothing is left but an error with the name of the file."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from rowspace import CollectionRepository, Database, DocumentRepository


@pytest.fixture(scope="module")
def url(new_module_database):
    made = new_module_database()
    with Database.open(made) as database, database.begin() as session:
        collection = CollectionRepository(session).create("large", 64)
        vectors = np.random.default_rng(1).normal(size=(2_000, 64))
        rows = ({"id": f"r{at}", "content": "x", "embedding": vector} for at, vector in enumerate(vectors))
        DocumentRepository(session, collection).upsert(rows)
    return made


def little_room():
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


@pytest.mark.parametrize("suffix", ["parquet", "npy", "jsonl"])
def test_a_full_disk_leaves_what_was_there(url, tmp_path, suffix):
    file = tmp_path / f"x.{suffix}"
    file.write_text("before")
    command = [sys.executable, "-m", "rowspace", "export", "large", str(file), "--overwrite"]
    options = {"env": os.environ | {"ROWSPACE_DATABASE_URL": url}, "preexec_fn": little_room}
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert (done.returncode, done.stderr) == (1, f"Error: {file}: File too large.\n")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [(file.name, "before")]
