"""What conftest.py promises: with ROWSPACE_TEST_NO_SKIP=1 a skip is a failure, an expected failure is not.

And nothing that the user has set for their own databases reaches a test.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import rowspace

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"
SKIPPING = {
    "mark": "import pytest\n@pytest.mark.skip(reason='no server')\ndef test(): ...",
    "call": "import pytest\ndef test(): pytest.skip('no server')",
    "fixture": "import pytest\n@pytest.fixture\ndef server(): pytest.skip('no server')\ndef test(server): ...",
    "module": "import pytest\npytest.skip('no server', allow_module_level=True)",
}


@pytest.fixture
def run(tmp_path):
    shutil.copy(CONFTEST, tmp_path)

    def run(source: str, no_skip: str, *options: str) -> tuple[int, str]:
        (tmp_path / "test_sample.py").write_text(source)
        sources = str(Path(rowspace.__file__).parents[1])
        environment = os.environ | {"ROWSPACE_TEST_NO_SKIP": no_skip, "PYTHONPATH": sources}
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        environment.pop("PYTEST_ADDOPTS", None)
        command = [sys.executable, "-m", "pytest", "--rootdir=.", "-c", os.devnull, "-p", "no:cacheprovider"]
        command += options
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    return run


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "--numprocesses=1")], ids=["one process", "workers"])
@pytest.mark.parametrize("source", SKIPPING.values(), ids=SKIPPING)
def test_a_skip_fails_the_gate_with_its_reason(run, source, options):
    status, output = run(source, "1", *options)
    assert status in {pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED}
    assert "no server (a skip fails because ROWSPACE_TEST_NO_SKIP=1)" in output


def test_a_skip_is_a_skip_elsewhere(run):
    status, output = run(SKIPPING["mark"], "")
    assert status == pytest.ExitCode.OK
    assert "1 skipped" in output


def test_an_expected_failure_passes_the_gate(run):
    status, output = run("import pytest\n@pytest.mark.xfail(strict=True)\ndef test(): assert 0", "1")
    assert status == pytest.ExitCode.OK
    assert "1 xfailed" in output


@pytest.mark.parametrize(
    ("database", "kept"), [("", set()), ("postgresql://tests/db", {"PGPASSWORD"})], ids=["no database", "one given"]
)
def test_what_the_user_has_set_reaches_no_test(run, monkeypatch, database, kept):
    monkeypatch.setenv("ROWSPACE_TEST_DATABASE_URL", database)
    theirs = ("ROWSPACE_DATABASE_URL", "PGPASSWORD", "FLASK_DEBUG", "https_proxy")
    for name in theirs:
        monkeypatch.setenv(name, "theirs")
    names = {"ROWSPACE_TEST_DATABASE_URL", "ROWSPACE_TEST_NO_SKIP", *kept}
    source = f"""
    import os
    def test(): assert {{name for name in os.environ if name.startswith("ROWSPACE_") or name in {theirs}}} == {names}
    """
    status, output = run(textwrap.dedent(source), "1")
    assert status == pytest.ExitCode.OK, output
