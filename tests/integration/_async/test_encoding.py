"""A connection whose encoding is not UTF-8, as by default in a database of LATIN1, or whose dates are not ISO's."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from rowspace import (
    AsyncCollectionRepository,
    AsyncDatabase,
    AsyncDocumentRepository,
    AsyncMatrixRepository,
    AsyncTableRepository,
)

WORDS = {"id": "né", "content": "Bücher", "embedding": [1, 2, 3], "meta": {"où": "là"}}


@pytest.fixture
async def session(shared_url, driver):
    """A session in LATIN1, where the driver can have one."""
    url = make_url(shared_url).set(drivername=f"postgresql+{driver}")
    engine = create_async_engine(url if driver == "asyncpg" else url.update_query_dict({"client_encoding": "LATIN1"}))
    async with AsyncSession(engine) as session:
        yield session
    await engine.dispose()


async def encoding_of(session):
    return await session.scalar(text("SELECT current_setting('client_encoding')"))


async def test_text_is_stored_and_read_as_it_is(session):
    before = await encoding_of(session)
    collection = await AsyncCollectionRepository(session).create("latin", 3)
    documents = AsyncDocumentRepository(session, collection)
    await documents.upsert([WORDS])
    await documents.upsert([WORDS, {**WORDS, "id": "2"}])
    assert await encoding_of(session) == before

    stored = "SELECT id, content, length(content), metadata ->> 'où' FROM documents WHERE id <> '2'"
    assert (await session.execute(text(stored))).all() == [("né", "Bücher", 6, "là")]
    assert sorted((await AsyncMatrixRepository(session, collection).read()).keys) == ["2", "né"]
    async with AsyncTableRepository(session, collection).stream(["content", "meta"]) as parts:
        columns = [{name: column.texts() for name, column in part.items()} async for part in parts]
    assert columns == [{"content": ["Bücher"] * 2, "meta": ['{"où": "là"}'] * 2}]
    assert await encoding_of(session) == before


async def test_a_row_that_the_server_refuses_leaves_the_encoding_as_it_was(session):
    before = await encoding_of(session)
    documents = AsyncDocumentRepository(session, await AsyncCollectionRepository(session).create("latin", 3))
    with pytest.raises(ValueError, match="column 'content': expected text, got int"):
        await documents.upsert([{**WORDS, "content": 5}])
    assert await encoding_of(session) == before
    await documents.upsert([WORDS])
    assert await session.scalar(text("SELECT content FROM documents")) == "Bücher"


async def test_what_rowspace_opens_speaks_utf8_whatever_the_database_is_in(new_database, driver):
    latin1 = new_database("ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0", empty=True)
    url = make_url(latin1).set(drivername=f"postgresql+{driver}")
    async with AsyncDatabase.open(url) as database, database.session() as session:
        assert await encoding_of(session) == "UTF8"
        # psycopg reads JSON in UTF-8 alone.
        assert await session.scalar(text("""SELECT '{"où": "là"}'::jsonb""")) == {"où": "là"}


@pytest.mark.parametrize(("dates", "intervals"), [("SQL, DMY", "sql_standard"), ("ISO, YMD", "postgres_verbose")])
async def test_what_rowspace_opens_reads_dates_whatever_their_style_is(new_database, driver, dates, intervals):
    url = make_url(new_database("", empty=True)).set(drivername=f"postgresql+{driver}")
    async with AsyncDatabase.open(url) as database, database.begin() as session:
        for name, style in {"DateStyle": dates, "IntervalStyle": intervals}.items():
            await session.execute(text(f"ALTER DATABASE {url.database} SET {name} = '{style}'"))
    written = "SELECT timestamptz '2024-12-31 23:00+00', make_interval(days => -1, hours => 2), date '2024-01-02'"
    async with AsyncDatabase.open(url) as database:
        async with database.session() as session:
            moment, span, day = (await session.execute(text(written))).one()
        assert (moment.astimezone(dt.UTC), span) == (
            dt.datetime(2024, 12, 31, 23, tzinfo=dt.UTC),
            dt.timedelta(days=-1, hours=2),
        )
        assert day == dt.date(2024, 1, 2)
        # Set on the connection, not in the transaction that is rolled back.
        async with database.session() as session:
            assert (await session.execute(text(written))).one()[1] == span
