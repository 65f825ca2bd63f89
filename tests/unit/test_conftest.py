"""What conftest.py promises: with ROWSPACE_TEST_NO_SKIP=1 a skip is a failure, an expected failure is not.

And nothing that the user has set for their own databases reaches a test. No more processes run tests than the memory
takes, and one that is killed, or does not find what it is asked for, fails the run and says why.
"""

from __future__ import annotations

import importlib.util
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


@pytest.mark.parametrize("options", [(), ("--dist=loadfile",)], ids=["load", "loadfile"])
def test_a_process_that_is_killed_ends_the_run(run, options):
    source = "import os, signal\ndef test_one(): os.kill(os.getpid(), signal.SIGKILL)\ndef test_two(): ..."
    status, output = run(source, "1", "-p", "xdist", "--numprocesses=1", *options)
    assert status == pytest.ExitCode.TESTS_FAILED, output
    assert "worker 'gw0' crashed while running 'test_sample.py::test_one'" in output
    assert "The process gw0 was killed, most likely for want of memory" in output


@pytest.mark.parametrize("options", [(), ("--quiet",)], ids=["told", "quiet"])
def test_processes_that_are_killed_while_they_collect_fail_the_run(run, options):
    source = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    status, output = run(source, "1", "-p", "xdist", "--numprocesses=2", *options)
    assert status == pytest.ExitCode.TESTS_FAILED, output
    assert " was killed, most likely for want of memory" in output


@pytest.mark.parametrize(
    ("asked", "told"),
    [("no_such.py", "ERROR: file or directory not found: no_such.py"), ("test_sample.py::no", "ERROR: not found: ")],
)
def test_what_is_asked_for_and_not_there_fails_a_run_by_workers(run, asked, told):
    status, output = run("def test(): ...", "1", "-p", "xdist", "--numprocesses=2", "--quiet", asked)
    assert status == pytest.ExitCode.TESTS_FAILED, output
    assert told in output


def test_collecting_prints_nothing_but_tests():
    """Streamlit warns, past pytest, where a page of the application is imported and no application runs."""
    folders = ("integrations/streamlit", "unit/integrations/streamlit")
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet"]
    command += [str(CONFTEST.parent / folder) for folder in folders]
    options = {"cwd": CONFTEST.parents[1], "env": os.environ | {"PYTEST_ADDOPTS": ""}}
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert (done.returncode, done.stderr) == (pytest.ExitCode.OK, "")


@pytest.mark.parametrize(
    ("groups", "limits"),
    [
        ("0::/", {"": "{}"}),
        ("0::/user.slice/run-1.scope", {"user.slice": "{}", "user.slice/run-1.scope": "max"}),
        ("0::/docker/5f", {"": "{}"}),
        ("0::/a:b", {"a:b": "{}"}),
        ("4:memory:/docker/5f\n0::/", {"memory": "9223372036854771712", "memory/docker/5f": "{}"}),
        ("4:memory:/docker/5f\n0::/docker/5f", {"memory": "{}"}),
    ],
    ids=["container", "scope", "container without its namespace", "colon", "version 1", "container of version 1"],
)
@pytest.mark.parametrize(("mebibytes", "processes"), [(512, 1), (2_048, 1), (3_072, 2), (4_096, 3), (2**30, 3)])
def test_no_more_processes_than_the_memory_takes(tmp_path, monkeypatch, groups, limits, mebibytes, processes):
    spec = importlib.util.spec_from_file_location("conftest_of_all", CONFTEST)
    conftest = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conftest)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(groups + "\n")
    for place, limit in limits.items():
        name = "memory.limit_in_bytes" if "memory" in groups else "memory.max"
        (tmp_path / "sys/fs/cgroup" / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / "sys/fs/cgroup" / place / name).write_text(limit.format(mebibytes * 2**20) + "\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0, 1, 2}, raising=False)
    monkeypatch.setattr(os, "sysconf", lambda name: 2**25 if name.endswith("PAGES") else 2**12)
    memory = conftest._memory
    monkeypatch.setattr(conftest, "_memory", lambda: memory(tmp_path))
    assert conftest.pytest_xdist_auto_num_workers() == processes
