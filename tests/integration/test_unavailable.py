"""A server that refuses or is gone: one error on every driver, and no password in it."""

from __future__ import annotations

import asyncio
import socket
import traceback
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from rowspace import AsyncDatabase, Database, DocumentService
from rowspace.errors import StoreUnavailable
from rowspace.testing.server import scratch_server

SECRET = "hunter2hunter2"
DRIVERS = [(Database, "psycopg"), (Database, "psycopg2"), (AsyncDatabase, "psycopg"), (AsyncDatabase, "asyncpg")]


@pytest.fixture(scope="module")
def server():
    """A server of its own, which asks the role `careful` for a password."""
    with scratch_server() as url:
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text(f"CREATE ROLE careful LOGIN PASSWORD '{SECRET}'"))
            rules = Path(connection.scalar(text("SHOW hba_file")))
            rules.write_text(f"local all careful scram-sha-256\n{rules.read_text()}")
            connection.execute(text("SELECT pg_reload_conf()"))
        engine.dispose()
        yield url


async def ask_async(url, **options):
    async with AsyncDatabase.open(url, **options) as database, database.begin() as session:
        await session.execute(text("SELECT 1"))


def ask(kind, url, **options):
    if kind is AsyncDatabase:
        asyncio.run(ask_async(url, **options))
        return
    with kind.open(url, **options) as database, database.begin() as session:
        session.execute(text("SELECT 1"))


def refusal(kind, url, **options):
    """Return all that is printed of the error of a first statement."""
    with pytest.raises(StoreUnavailable, match="Check that the server is running, and the host, port, user") as error:
        ask(kind, url, **options)
    return "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize(("kind", "driver"), DRIVERS)
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"username": "careful", "password": f"wrong{SECRET}"}, "password authentication failed"),
        ({"database": "nowhere"}, 'database "nowhere" does not exist'),
        ({"username": "nobody", "password": SECRET}, 'role "nobody" does not exist'),
    ],
)
def test_a_refused_login(server, kind, driver, changes, reason):
    printed = refusal(kind, server.set(drivername=f"postgresql+{driver}", **changes))
    assert reason in printed
    assert SECRET not in printed


@pytest.mark.parametrize(("kind", "driver"), DRIVERS)
def test_a_server_that_is_not_there(kind, driver):
    for place in ("127.0.0.1:1/db", "/db?host=/no"):
        assert SECRET not in refusal(kind, f"postgresql+{driver}://me:{SECRET}@{place}")


@pytest.mark.parametrize(("kind", "driver"), DRIVERS)
def test_a_host_that_is_not_known(kind, driver):
    with pytest.raises(
        StoreUnavailable, match="Check the host in the URL, and that this machine can resolve its name"
    ) as error:
        ask(kind, f"postgresql+{driver}://me:{SECRET}@nowhere.invalid/db")
    assert SECRET not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize(("kind", "driver"), DRIVERS)
def test_a_server_that_only_a_standby_would_do_for(server, kind, driver):
    url = server.set(drivername=f"postgresql+{driver}").update_query_dict({"target_session_attrs": "read-only"})
    with pytest.raises(StoreUnavailable, match="or remove target_session_attrs from it"):
        ask(kind, url)


@pytest.mark.parametrize(("kind", "driver"), DRIVERS)
def test_a_password_in_a_file(server, kind, driver, tmp_path):
    file = tmp_path / "passwords"
    file.write_text(f"*:*:*:careful:{SECRET}\n")
    file.chmod(0o600)
    url = server.set(drivername=f"postgresql+{driver}", username="careful", password=None)
    ask(kind, url.update_query_dict({"passfile": str(file)}))


@pytest.mark.parametrize(("kind", "driver"), DRIVERS)
def test_a_server_that_does_not_answer(kind, driver):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+{driver}://me:{SECRET}@127.0.0.1:{silent.getsockname()[1]}/db"
        option = "timeout" if driver == "asyncpg" else "connect_timeout"
        assert SECRET not in refusal(kind, url, connect_args={option: 2})


def test_the_right_password_works(server):
    with Database.open(server.set(username="careful", password=SECRET)) as database, database.begin() as session:
        assert session.scalar(text("SELECT current_user")) == "careful"


def test_services_say_the_same():
    with (
        Database.open(f"postgresql://me:{SECRET}@127.0.0.1:1/db") as database,
        pytest.raises(StoreUnavailable, match="Check that the server is running"),
    ):
        DocumentService(database).collections()


def test_a_server_that_stops():
    with scratch_server() as url:
        database = Database.open(url)
        with database.begin() as session:
            session.execute(text("SELECT 1"))
    with pytest.raises(StoreUnavailable, match="Check that the server is running"), database.begin() as session:
        session.execute(text("SELECT 1"))
    database.close()
