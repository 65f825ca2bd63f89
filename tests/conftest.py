"""What every test shares: one server for the whole run, nothing of what its user has set, and no skip at a gate."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterator
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


def pytest_configure(config: pytest.Config) -> None:
    _forget_the_users_settings()
    # Where Rowspace is not installed, but runs from its sources, there is no entry point that does it.
    if not config.pluginmanager.has_plugin("rowspace"):
        config.pluginmanager.register(plugin, "rowspace")


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
