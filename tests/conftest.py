"""What every test shares: one server for the whole run, nothing of what its user has set, and no skip at a gate.

How many processes run them: no more than the memory takes; if one is killed all the same, the run says so and fails.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import settings

from rowspace.testing import plugin

# Nothing here is about time: an example that takes long on a busy machine is no fault.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# What begins the variables of Rowspace and of the libraries that it works with.
OTHERS = (
    *("ROWSPACE_", "DJANGO_", "FLASK_", "LANGCHAIN_", "LANGSMITH_", "OPENAI_"),
    *("PROMETHEUS_", "STREAMLIT_", "UVICORN_", "WEB_CONCURRENCY"),
)

# A skip that the gate accepts: its reason, word for word, beside the why.
ALLOWED_SKIPS: frozenset[str] = frozenset()

# Bytes that a process takes in the whole run, with its server and with what its tests start.
A_PROCESS = 1_250 * 2**20

# Why the processes ended before there was anything to run, where xdist would say that there are no tests.
ENDED = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    _forget_the_users_settings()
    # Where Rowspace is not installed, but runs from its sources, there is no entry point that does it.
    if not config.pluginmanager.has_plugin("rowspace"):
        config.pluginmanager.register(plugin, "rowspace")
    # By itself xdist replaces a process that was killed, which runs the same test again, or waits for ever.
    if getattr(config.option, "maxworkerrestart", "") is None:
        config.option.maxworkerrestart = "0"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Have a process run tests for each processor that this one may use, as far as the memory goes."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(processors, _memory() // A_PROCESS))


def _memory(root: Path = Path("/")) -> int:
    """Return the bytes of memory of this machine, or as many as a container or a service may take of them."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with suppress(OSError):  # it is no Linux
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            group = line.split(":", 2)[2].strip("/")
            for top, name in (("sys/fs/cgroup", "memory.max"), ("sys/fs/cgroup/memory", "memory.limit_in_bytes")):
                # What is above counts too. A container sees its own at the top, where the path may be that outside.
                limits = [above / name for above in (root / top / group / name).parents]
                texts = [limit.read_text().strip() for limit in limits if limit.exists()]
                found += [int(text) for text in texts if text != "max"]
    return min(found)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Have a process tell the first one what it was asked for and cannot find, which xdist keeps to itself."""
    try:
        return (yield)
    except pytest.UsageError as error:
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["ended"] = "\n".join(f"ERROR: {line}" for line in error.args)
        raise


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error) -> None:
    if error == "Not properly terminated":
        node.config.stash[ENDED] = (
            f"The process {node.gateway.id} was killed, most likely for want of memory: each takes up to "
            f"{A_PROCESS / 2**30:.1f} GB with its server, of {_memory() / 2**30:.1f} GB here. Give more, or run fewer: "
            "make test WORKERS=1"
        )
    elif error is None and "ended" in node.workeroutput:
        node.config.stash[ENDED] = node.workeroutput["ended"]


def pytest_sessionfinish(session: pytest.Session) -> None:
    if ENDED in session.config.stash and session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    if ENDED in config.stash:
        terminalreporter.write_line(config.stash[ENDED])


def _forget_the_users_settings() -> None:
    """Take the user's own databases, keys, proxies and debuggers out of the environment, also of what a test starts.

    libpq follows PGHOSTADDR and PGSERVICE wherever a URL points. A database that is given for the tests may need them.
    """
    libpq = () if os.environ.get("ROWSPACE_TEST_DATABASE_URL") else ("PG",)
    for name in [*os.environ]:
        of_theirs = name.startswith((*OTHERS, *libpq)) and not name.startswith("ROWSPACE_TEST_")
        if of_theirs or name.upper() in {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}:
            del os.environ[name]


@pytest.fixture
def heeds_hangups() -> Iterator[None]:
    """Have processes that a test starts heed a hangup: under nohup this one ignores it, and they would inherit that."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def _databases(rowspace_url: str) -> Iterator[Callable[..., str]]:
    """A function that makes a database on the server of the run, empty or with Rowspace's tables; returns its URL."""
    from sqlalchemy import NullPool, create_engine

    from rowspace.migrations import upgrade

    made = []
    admin = create_engine(rowspace_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")

    def execute(statement: str) -> None:
        with admin.connect() as connection:
            connection.exec_driver_sql(statement)

    def make(options: str = "", *, schema: str | None = None, empty: bool = False) -> str:
        made.append(f"test_{uuid4().hex[:12]}")
        execute(f"CREATE DATABASE {made[-1]} {options}")
        url = admin.url.set(database=made[-1])
        if not empty:
            upgrade(create_engine(url, poolclass=NullPool), schema=schema)
        return url.render_as_string(hide_password=False)

    yield make
    for name in made:
        execute(f"DROP DATABASE {name} WITH (FORCE)")


# Each is gone after the test, the module or the run: together they would fill a small disk.
new_database = pytest.fixture(_databases)
new_module_database = pytest.fixture(_databases, scope="module")
new_shared_database = pytest.fixture(_databases, scope="session")


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure when ROWSPACE_TEST_NO_SKIP is 1; an expected failure is not a skip."""
    if os.environ.get("ROWSPACE_TEST_NO_SKIP") != "1" or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    if reason.removeprefix("Skipped: ") not in ALLOWED_SKIPS:
        report.outcome = "failed"
        report.longrepr = f"{reason} (a skip fails because ROWSPACE_TEST_NO_SKIP=1)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _forbid_skip(report)
    return report
