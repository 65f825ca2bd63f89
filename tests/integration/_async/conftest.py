"""Sessions whose work is undone after the test, on each driver."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from rowspace import AsyncDatabase
from rowspace.wire import instrument


@pytest.fixture
async def engine(shared_url, driver):
    """An engine as an application makes it, that Rowspace has not seen."""
    engine = create_async_engine(shared_url.replace("+psycopg", f"+{driver}"))
    yield engine
    await engine.dispose()


@pytest.fixture
async def database(engine):
    """A database of one connection, for services too: what its sessions commit is undone after the test."""
    database = AsyncDatabase(engine)
    async with engine.connect() as connection, connection.begin() as transaction:
        database.sessions.configure(bind=connection, join_transaction_mode="create_savepoint")
        yield database
        await transaction.rollback()


@pytest.fixture
async def session(database):
    async with database.sessions() as session:
        yield session


@pytest.fixture(params=["binary", "text"])
async def either_session(request, engine):
    """A session on an instrumented engine, and one on an engine that Rowspace has not seen."""
    if request.param == "binary":
        instrument(engine)
    async with engine.connect() as connection, connection.begin() as transaction:
        async with AsyncSession(
            connection, join_transaction_mode="create_savepoint", expire_on_commit=False
        ) as session:
            yield session
        await transaction.rollback()


@contextmanager
def listening(engine, see):
    """Call `see` with each statement that the engine sends, and with its parameters."""

    def listen(_connection, _cursor, statement, parameters, *_):
        see(statement, parameters)

    own = getattr(engine, "sync_engine", engine)
    event.listen(own, "before_cursor_execute", listen)
    yield
    event.remove(own, "before_cursor_execute", listen)


@pytest.fixture
def sent(engine):
    """The statements that the engine sends, with their parameters."""
    seen = []
    with listening(engine, lambda *statement: seen.append(statement)):
        yield seen


@pytest.fixture
def statements(engine):
    """The kinds of the filtered searches that the engine runs: which compares few rows, which is planned for them."""
    seen = []

    def see(statement, _):
        words = " ".join(statement.split())
        kinds = {"few": "WITH rowspace_few AS", "planned": "WITH rowspace_found AS"}
        seen.extend(kind for kind, part in kinds.items() if part in words)

    with listening(engine, see):
        yield seen
