"""What an instrumented engine's cursors say of a result is what psycopg says, however often it is asked for."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import ClientCursor
from psycopg.rows import namedtuple_row
from psycopg2.extras import NamedTupleCursor
from sqlalchemy import create_engine, event, make_url, text

from rowspace import AsyncDatabase, CollectionRepository, Database, DocumentRepository
from rowspace.migrations import upgrade

QUERIES = [
    "SELECT 1 AS one, 'b'::varchar(7) AS \"zwei 2\", now() AS ä, NULL::numeric(5, 2)",
    "SELECT 1::bigint AS one, 'b'::varchar(8) AS \"zwei 2\", now() AS ä, NULL::numeric(5, 1)",
    "SELECT '[1,2]'::vector(2) AS v, ARRAY[1, 2] AS a",
]


def told(cursor) -> list[tuple[object, ...]] | None:
    return cursor.description and [(*column, repr(column), column.type_display) for column in cursor.description]


@pytest.fixture
def expected(new_database) -> tuple[str, list[object]]:
    url = new_database()
    with psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)) as plain:
        return url, [told(plain.execute(query)) for query in QUERIES]


def test_a_result_is_described_as_by_psycopg(expected):
    url, descriptions = expected
    with Database.open(url) as database, database.engine.connect() as connection:
        driver = connection.connection.driver_connection
        for _ in range(3):
            assert [told(driver.execute(query)) for query in QUERIES] == descriptions
        assert told(driver.execute("SET statement_timeout = 0")) is None
        assert driver.execute("SELECT").description == []
        # A list of one's own.
        cursor = driver.execute(QUERIES[0])
        cursor.description.clear()
        assert told(cursor) == descriptions[0]


async def test_an_async_result_is_too(expected):
    url, descriptions = expected
    target = make_url(url).set(drivername="postgresql+psycopg")
    async with AsyncDatabase.open(target) as database, database.engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        for _ in range(2):
            assert [told(await driver.execute(query)) for query in QUERIES] == descriptions


def test_a_cursor_of_ones_own_remains(new_database):
    engine = create_engine(
        make_url(new_database()).set(drivername="postgresql+psycopg"), connect_args={"cursor_factory": ClientCursor}
    )
    with Database(engine).session() as session:
        assert type(session.connection().connection.cursor()) is ClientCursor
        documents = DocumentRepository(session, CollectionRepository(session).create("texts", 2))
        for content in ("it's 5 %s", "new"):
            documents.upsert([{"id": "a", "content": content, "embedding": [1, 0]}], fresh=False)
            session.expunge_all()
            assert [hit.entity.content for hit in documents.nearest([1, 0])] == [content]
    engine.dispose()


@pytest.mark.parametrize(
    ("driver", "options"),
    [("psycopg", {"row_factory": namedtuple_row}), ("psycopg2", {"cursor_factory": NamedTupleCursor})],
)
def test_rows_of_names_are_loaded_which_may_not_come_twice(new_database, driver, options):
    engine = create_engine(make_url(new_database()).set(drivername=f"postgresql+{driver}"), connect_args=options)
    with Database(engine).session() as session:
        documents = DocumentRepository(session, CollectionRepository(session).create("texts", 1))
        for count, known in ((3, 0), (200, 3)):
            rows = [{"id": str(at), "content": "", "embedding": [at]} for at in range(count)]
            report = documents.upsert(rows, fresh=False)
            assert (report.inserted, report.updated) == (count - known, known)
    engine.dispose()


def test_shapes_are_not_kept_for_ever(new_database, monkeypatch):
    from rowspace.wire import psycopg as wire

    monkeypatch.setattr(wire, "_SHAPES", 2)
    with Database.open(new_database()) as database, database.engine.connect() as connection:
        driver = connection.connection.driver_connection
        for number in range(9):
            assert driver.execute(f"SELECT 1 AS c{number}").description[0].name == f"c{number}"
        assert len(wire._DESCRIBED[driver]) <= 2


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/St_Johns"])
def test_timestamps_are_in_the_sessions_time_zone_as_psycopg_has_them(expected, zone):
    query = (
        "SELECT moment FROM unnest(ARRAY[now(), now(), '1883-11-18 12:00:01+00', '2026-07-01']::timestamptz[]) moment"
    )
    with Database.open(expected[0]) as database, database.engine.begin() as connection:
        connection.exec_driver_sql(f"SET LOCAL TIME ZONE '{zone}'")
        driver = connection.connection.driver_connection
        read = [moment for (moment,) in driver.execute(query).fetchall()]
        plain = psycopg.Cursor(driver)
        plain.adapters.register_loader("timestamptz", psycopg.adapters.get_loader(1184, psycopg.pq.Format.TEXT))
        assert read == [moment for (moment,) in plain.execute(query).fetchall()]
        assert {str(moment.tzinfo) for moment in read} == {zone}


def test_a_loader_of_ones_own_stays(expected):
    class AsText(psycopg.adapt.Loader):
        def load(self, data):
            return bytes(data).decode()

    engine = create_engine(make_url(expected[0]))
    event.listen(engine, "connect", lambda driver, _: driver.adapters.register_loader("timestamptz", AsText))
    with Database(engine).session() as session:
        assert session.scalar(text("SELECT '2026-01-01 00:00:00+00'::timestamptz")).startswith("202")
    engine.dispose()


def test_a_change_of_the_time_zone_is_seen_by_the_next_search(expected):
    with Database.open(expected[0], pool_size=1) as database, database.begin() as session:
        upgrade(database.engine)
        collection = CollectionRepository(session).create("clocks", 2)
        documents = DocumentRepository(session, collection)
        documents.upsert([{"id": "a", "content": "a", "embedding": [1, 0]}])
        for zone in ("UTC", "Asia/Tokyo", "UTC"):
            session.execute(text(f"SET LOCAL TIME ZONE '{zone}'"))
            session.expunge_all()
            for _ in range(2):
                [hit] = documents.nearest([1, 0])
                assert str(hit.entity.created_at.tzinfo) == zone
                session.expunge_all()
