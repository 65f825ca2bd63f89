"""The example project, as a stranger would run it: its own process, its own settings, Django's own test runner."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "django"


@pytest.fixture
def manage(new_database, tmp_path):
    given = {"ROWSPACE_DATABASE_URL": new_database(empty=True), "LIBRARY_EMBEDDER": "books.embedding.hashing"}

    def run(*args):
        done = subprocess.run(
            [sys.executable, "-W", "error", EXAMPLE / "manage.py", *args],
            cwd=tmp_path,
            env=os.environ | given,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_the_examples_tests_pass(manage):
    out = manage("test", "books", "--noinput")
    assert "Ran 14 tests" in out
    assert "\nOK\n" in out


def test_the_demo_runs(manage):
    out = manage("demo")
    assert "Books about 'baking'" in out
    assert "Reviews about 'space travel'" in out
