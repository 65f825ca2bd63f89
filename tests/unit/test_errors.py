from __future__ import annotations

import psycopg
import pytest
from sqlalchemy.exc import (
    DBAPIError,
    IllegalStateChangeError,
    IntegrityError,
    InvalidRequestError,
    OperationalError,
    StatementError,
    TimeoutError as PoolTimeout,
)

from rowspace import errors
from rowspace.errors import DimensionMismatch, RowspaceError, StoreUnavailable, map_error, mapped_errors


class DriverError(Exception):
    """As psycopg and asyncpg raise them; psycopg2 calls the attribute `pgcode`."""

    def __init__(self, message, sqlstate=None, *, attribute="sqlstate"):
        super().__init__(message)
        setattr(self, attribute, sqlstate)


def wrapped(message, sqlstate, kind=DBAPIError, attribute="sqlstate"):
    return kind("SELECT 1", {}, DriverError(message, sqlstate, attribute=attribute))


STATES = {
    "08006": errors.StoreUnavailable,
    "08P01": errors.StoreUnavailable,
    "22021": errors.InvalidText,
    "22P05": errors.InvalidText,
    "25006": errors.PermissionDenied,
    "25P01": errors.ConfigurationError,
    "25P03": errors.StoreUnavailable,
    "25P04": errors.StoreUnavailable,
    "26000": errors.ConfigurationError,
    "22023": errors.InvalidSetting,
    "28000": errors.StoreUnavailable,
    "28P01": errors.StoreUnavailable,
    "3D000": errors.StoreUnavailable,
    "3F000": errors.SchemaNotReady,
    "40001": errors.TransactionConflict,
    "40P01": errors.TransactionConflict,
    "42501": errors.PermissionDenied,
    "42P01": errors.SchemaNotReady,
    "42P05": errors.ConfigurationError,
    "53100": errors.StoreUnavailable,
    "53300": errors.StoreUnavailable,
    "57P01": errors.StoreUnavailable,
    "57P02": errors.StoreUnavailable,
    "57P03": errors.StoreUnavailable,
    "57P05": errors.StoreUnavailable,
}


@pytest.mark.parametrize("attribute", ["sqlstate", "pgcode"])
@pytest.mark.parametrize(("sqlstate", "kind"), STATES.items())
def test_each_sqlstate_has_its_error(sqlstate, kind, attribute):
    assert type(map_error(wrapped("what happened", sqlstate, attribute=attribute))) is kind
    assert type(map_error(DriverError("what happened", sqlstate, attribute=attribute))) is kind


@pytest.mark.parametrize("sqlstate", ["23505", "42601", "42704", "22P02", "57014", "XX000"])
def test_other_conditions_stay_as_they_are(sqlstate):
    assert map_error(wrapped("what happened", sqlstate, IntegrityError)) is None


def test_a_plan_of_before_is_told_from_what_there_is_not():
    assert type(map_error(wrapped("cached plan must not change result type", "0A000"))) is errors.TransactionConflict
    assert map_error(wrapped("cannot use that here", "0A000")) is None


def test_words_are_known_behind_the_class_that_sqlalchemy_20_puts_in_front_of_them():
    front = "<class 'asyncpg.exceptions.InvalidCachedStatementError'>: "
    error = map_error(wrapped(f"{front}cached statement plan is invalid", "0A000"))
    assert type(error) is errors.TransactionConflict
    assert str(error).startswith("cached statement plan is invalid")


def test_a_schema_that_is_not_there_is_no_fault_of_the_search_path():
    assert "search path" not in str(map_error(wrapped('schema "tenant" does not exist', "3F000")))
    assert "search path" in str(map_error(wrapped("no schema has been selected to create in", "3F000")))


def test_a_key_that_comes_twice_is_told_from_a_subquery_of_several_rows():
    twice = "ON CONFLICT DO UPDATE command cannot affect row a second time"
    assert type(map_error(wrapped(twice, "21000"))) is errors.InvalidRow
    assert map_error(wrapped("more than one row returned by a subquery used as an expression", "21000")) is None


def test_a_dimension_mismatch_is_told_from_other_data():
    assert type(map_error(wrapped("expected 3 dimensions, not 2", "22000"))) is DimensionMismatch
    assert type(map_error(wrapped("different bit lengths 2 and 3", "22000"))) is DimensionMismatch
    assert type(map_error(wrapped("NaN not allowed in vector", "22000"))) is errors.InvalidVector
    assert type(map_error(wrapped("infinite value not allowed in halfvec", "22000"))) is errors.InvalidVector
    assert type(map_error(wrapped('"1e+06" is out of range for type halfvec', "22003"))) is errors.InvalidVector
    assert map_error(wrapped("integer out of range", "22003")) is None
    # asyncpg's own, of an argument of the wrong type.
    assert map_error(wrapped("invalid input for query argument $2: 1 (expected str, got int)", "22000")) is None
    assert type(map_error(wrapped('"70000" is out of range for type halfvec', "22003"))) is errors.InvalidVector
    assert map_error(wrapped("integer out of range", "22003")) is None


def test_codecs_that_take_no_text_are_told_from_other_arguments():
    for message in (
        "invalid input for query argument $1: '[0.9,... (expected list or ndarray)",
        "invalid input for query argument $1: ['[0.1,... (expected list or ndarray)",
        "invalid input for query argument $1: '{1:0.9}/8' (could not convert string to float: '{')",
    ):
        mapped = map_error(wrapped(message, "22000"))
        assert type(mapped) is errors.ConfigurationError
        assert "call rowspace.wire.instrument(engine)" in str(mapped)
    assert map_error(wrapped("invalid input for query argument $1: 'a' (expected a number)", "22000")) is None


@pytest.mark.parametrize(
    "message",
    [
        "sending query and params failed: another command is already in progress\nanother command",
        "cannot perform operation: another operation is in progress",
    ],
)
def test_a_connection_that_is_busy_is_not_gone(message):
    mapped = map_error(wrapped(message, None, OperationalError))
    assert type(mapped) is errors.ConfigurationError
    assert "give each thread or task its own session" in str(mapped)


@pytest.mark.parametrize(
    "error",
    [
        wrapped('savepoint "sa_savepoint_2" does not exist', "3B001"),
        InvalidRequestError("This session is provisioning a new connection; concurrent operations are not permitted"),
        IllegalStateChangeError("Method 'close()' can't be called here; method 'commit()' is already in progress"),
    ],
)
def test_a_session_that_several_use_at_once(error):
    mapped = map_error(error)
    assert type(mapped) is errors.ConfigurationError
    assert str(mapped).endswith(". Another thread or task is using this session. Give each its own session.")


def test_a_savepoint_of_the_callers_that_is_not_there_is_the_callers():
    assert map_error(wrapped('savepoint "mine" does not exist', "3B001")) is None


@pytest.mark.parametrize(
    "message",
    [
        "sending query and params failed: number of parameters must be between 0 and 65535",
        "the number of query arguments cannot exceed 32767",
    ],
)
def test_too_many_values_are_no_matter_of_the_connection(message):
    mapped = map_error(wrapped(message, None))
    assert type(mapped) is errors.ConfigurationError
    assert "as one array" in str(mapped)


@pytest.mark.parametrize(
    ("message", "sqlstate", "expected"),
    [
        ("deadlock\nDETAIL: a lot", "40P01", "deadlock. Roll back and run the whole transaction again."),
        ("expected 3 dimensions, not 2", "22000", "expected 3 dimensions, not 2."),
        (
            "no writing",
            "25006",
            "no writing. The server is a standby, or the transaction is read-only. Connect to the primary to write.",
        ),
        (
            'invalid connection option "x"',
            None,
            'invalid connection option "x". Remove this option from the URL or from `connect_args`.',
        ),
        (
            "connect() got an unexpected keyword argument 'sslmode'",
            None,
            (
                "connect() got an unexpected keyword argument 'sslmode'. asyncpg does not know this option; remove it "
                "from the URL or from `connect_args`. For sslmode, asyncpg has ssl, and for connect_timeout, timeout. "
                "Set application_name, and settings such as search_path, by "
                "connect_args={'server_settings': {...}}."
            ),
        ),
        ("Why?", "42501", "Why? Grant the privilege to this role, or connect as a role that has it."),
        ("  ", "42P01", f"DriverError. {errors._FIX[errors.SchemaNotReady]}"),
    ],
)
def test_messages_say_what_and_the_fix(message, sqlstate, expected):
    assert str(map_error(wrapped(message, sqlstate))) == expected


@pytest.mark.parametrize(
    ("sqlstate", "said"),
    [
        ("26000", 'prepared statement "_pg3_1" does not exist'),
        ("42P05", 'prepared statement "_pg3_1" already exists'),
        ("08P01", 'bind message supplies 3 parameters, but prepared statement "_pg3_1" requires 1'),
    ],
)
def test_a_pooler_between_transactions_is_named_with_what_it_needs(sqlstate, said):
    error = map_error(wrapped(said, sqlstate))
    message = str(error)
    assert type(error) is errors.ConfigurationError
    assert "PgBouncer" in message
    assert '{"prepare_threshold": None} on psycopg' in message
    assert "?prepare_threshold=none" in message
    assert '"statement_cache_size": 0' in message


def test_a_pooler_without_a_connection_to_spare_is_not_asked_for_the_password():
    error = map_error(wrapped("query_wait_timeout", "08P01"))
    assert type(error) is StoreUnavailable
    assert "default_pool_size" in str(error)
    assert "password" not in str(error)


@pytest.mark.parametrize(
    "said",
    [
        'too many connections for role "app"',
        "sorry, too many clients already",
        "remaining connection slots are reserved for roles with the SUPERUSER attribute",
    ],
)
def test_a_server_without_a_slot_says_the_same_while_libpq_connects(said):
    refused = DriverError(f'connection failed: connection to server at "::1", port 5432 failed: FATAL:  {said}')
    error = map_error(refused)
    assert type(error) is StoreUnavailable
    assert str(error).endswith(
        "Reduce pool_size and max_overflow of the clients' pools, or raise max_connections of the server."
    )


@pytest.mark.parametrize(
    "said",
    [
        'connection to server at "::1", port 5432 failed: root certificate file "/root.crt" does not exist',
        'root certificate file "/root.crt" does not exist or cannot be accessed',
    ],
)
def test_a_root_certificate_that_is_missing_is_named_as_each_driver_has_it(said):
    error = map_error(wrapped(said, None))
    assert type(error) is errors.ConfigurationError
    assert "sslrootcert" in str(error)
    assert "PGSSLROOTCERT" in str(error)


@pytest.mark.parametrize(
    ("said", "fix"),
    [
        ("failed to resolve host 'h': [Errno -2] Name or service not known", "Check the host in the URL"),
        ('could not translate host name "h" to address: Name or service not known', "Check the host in the URL"),
        ("[Errno -3] Temporary failure in name resolution", "Check the host in the URL"),
        (
            'connection to server at "h", port 5432 failed: SSL error: certificate verify failed',
            "certificate has expired",
        ),
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1006)",
            "The server's certificate has expired",
        ),
        ('server certificate for "a" (and 1 other name) does not match host name "b"', "is for another host"),
        ("server does not support SSL, but SSL was required", "Enable ssl on the server"),
        ('PostgreSQL server at "h:5432" rejected SSL upgrade', "Enable ssl on the server"),
        ('connection to server at "h", port 5432 failed: session is not read-only', "remove target_session_attrs"),
        ('definition of service "x" not found', "Check the service in the URL"),
    ],
)
def test_a_server_that_is_not_reached_says_why(said, fix):
    error = map_error(psycopg.OperationalError(said))
    assert type(error) is StoreUnavailable
    assert fix in str(error)
    assert "password" not in str(error)


def test_hosts_that_are_not_what_was_asked_for_are_unavailable_on_asyncpg_too():
    said = "None of the hosts match the target attribute requirement <SessionAttribute.standby: 'standby'>"
    error = map_error(wrapped(said, None))
    assert type(error) is StoreUnavailable
    assert "target_session_attrs" in str(error)


@pytest.mark.parametrize(
    "what",
    ["could not open relation with OID 7", "cache lookup failed for index 7", "cannot load deleted element"],
)
def test_what_is_dropped_while_it_is_described_is_a_conflict(what):
    error = map_error(wrapped(what, "XX000"))
    assert type(error) is errors.TransactionConflict
    assert str(error) == f"{what}. Roll back and run the whole transaction again."


@pytest.mark.parametrize("table", ["documents_12", "app.documents_7", "documents_12_next", "app.documents_7_changes"])
def test_a_partition_that_is_gone_is_no_matter_of_migrations(table):
    gone = map_error(wrapped(f'relation "{table}" does not exist', "42P01"))
    assert type(gone) is errors.CollectionNotFound
    assert "dropped or replaced" in str(gone)
    assert type(map_error(wrapped('relation "documents" does not exist', "42P01"))) is errors.SchemaNotReady


@pytest.mark.parametrize(
    "message",
    [
        "column collections.reembedding does not exist",
        'column "reembedding" of relation "collections" does not exist',
    ],
)
def test_a_column_that_a_later_migration_adds_is_a_matter_of_migrations(message):
    missing = map_error(wrapped(message, "42703"))
    assert type(missing) is errors.SchemaNotReady
    assert "Run the migrations" in str(missing)
    assert map_error(wrapped(message.replace("collections", "articles"), "42703")) is None


def test_an_operator_that_no_migration_makes_stays_as_it_is():
    assert map_error(wrapped("operator does not exist: text = integer", "42883")) is None
    assert map_error(wrapped("could not identify an ordering operator for type point", "42883")) is None
    assert map_error(wrapped("function mine(integer) does not exist", "42883")) is None
    missing = map_error(wrapped("function vector_send(public.vector) does not exist", "42883"))
    assert type(missing) is errors.SchemaNotReady
    missing = map_error(wrapped("operator does not exist: public.vector <=> public.vector", "42883"))
    assert type(missing) is errors.SchemaNotReady


def test_a_pgvector_that_does_not_know_a_setting_is_said_to_be_old():
    unknown = map_error(wrapped('invalid configuration parameter name "hnsw.iterative_scan"', "42602"))
    assert type(unknown) is errors.SchemaNotReady
    assert str(unknown).startswith(
        'invalid configuration parameter name "hnsw.iterative_scan". The setting needs pgvector'
    )
    assert "Install pgvector 0.8 or newer there, then run ALTER EXTENSION vector UPDATE;" in str(unknown)
    assert map_error(wrapped('invalid configuration parameter name "plpgsql.mine"', "42602")) is None


def test_an_object_that_no_migration_makes_stays_as_it_is():
    assert map_error(wrapped('role "reader" does not exist', "42704")) is None
    assert map_error(wrapped('operator class "mine" does not exist for access method "hnsw"', "42704")) is None
    text = 'data type text has no default operator class for access method "hnsw"'
    assert map_error(wrapped(text, "42704")) is None
    assert map_error(wrapped('index "ix_articles_year" does not exist', "42704")) is None
    for missing in ('type "ext.vector" does not exist', 'access method "hnsw" does not exist'):
        assert type(map_error(wrapped(missing, "42704"))) is errors.SchemaNotReady
    unnamed = map_error(wrapped('data type vector has no default operator class for access method "hnsw"', "42704"))
    assert type(unnamed) is errors.ConfigurationError
    assert 'Name one by HNSW("cosine")' in str(unnamed)


def test_a_text_too_long_for_its_index_is_told_from_other_limits():
    text = wrapped("string is too long for tsvector (3979800 bytes, max 1048575 bytes)", "54000")
    assert type(map_error(text)) is errors.InvalidText
    assert str(map_error(text)).endswith("Split it into parts.")
    assert map_error(wrapped("column cannot have more than 2000 dimensions for hnsw index", "54000")) is None
    entry = map_error(wrapped('index row size 6024 exceeds btree version 4 maximum 2704 for index "a"', "54000"))
    assert type(entry) is errors.InvalidRow
    assert str(entry).endswith("pass a number of 5,000 or more digits as text.")


def test_what_was_noted_of_an_error_is_kept():
    original = wrapped("terminating connection", "57P01")
    original.add_note("It was in the middle of something.")
    with pytest.raises(StoreUnavailable) as mapped, mapped_errors():
        raise original
    assert mapped.value.__notes__ == ["It was in the middle of something."]


def test_every_error_is_a_rowspace_error_and_of_a_builtin_kind():
    kinds = [getattr(errors, name) for name in errors.__all__ if name[0].isupper()]
    assert all(issubclass(kind, RowspaceError) for kind in kinds)
    assert issubclass(errors.StoreUnavailable, ConnectionError)
    assert issubclass(errors.CollectionNotFound, LookupError)
    assert issubclass(errors.MissingExtra, ImportError)
    assert issubclass(errors.DimensionMismatch, errors.InvalidVector)


# The context manager


def test_the_original_is_the_cause():
    original = wrapped("expected 3 dimensions, not 2", "22000")
    with pytest.raises(DimensionMismatch) as mapped, mapped_errors():
        raise original
    assert mapped.value.__cause__ is original


def test_what_has_no_better_error_passes():
    original = wrapped("duplicate key", "23505", IntegrityError)
    with pytest.raises(IntegrityError) as same, mapped_errors():
        raise original
    assert same.value is original


def test_what_a_column_type_refused_is_taken_out_of_the_statement_error():
    refused = DimensionMismatch("Expected 3 dimensions, got 2.")
    wrapping = StatementError("(rowspace) refused", "SELECT 1", {}, refused)
    with pytest.raises(DimensionMismatch) as same, mapped_errors():
        raise wrapping
    assert same.value is refused
    assert same.value.__suppress_context__


def test_nested_contexts_map_once():
    original = wrapped("expected 3 dimensions, not 2", "22000")
    with pytest.raises(DimensionMismatch) as mapped, mapped_errors(), mapped_errors():
        raise original
    assert mapped.value.__cause__ is original


# Lost connections, which carry no SQLSTATE


def driver_exception(module, name="OperationalError"):
    return type(name, (Exception,), {"__module__": module})("server closed the connection unexpectedly")


def from_module(name, error):
    """Raise an error in a function of another module."""
    exec(compile("raise error", name, "exec"), {"__name__": name, "error": error})  # noqa: S102


@pytest.mark.parametrize(
    "error",
    [
        driver_exception("psycopg"),
        driver_exception("psycopg2"),
        driver_exception("psycopg.errors", "ConnectionTimeout"),
        OperationalError("SELECT 1", {}, driver_exception("psycopg")),
        DBAPIError("SELECT 1", {}, driver_exception("asyncpg", "InterfaceError"), connection_invalidated=True),
        DBAPIError(
            "SELECT 1",
            {},
            Exception("cannot switch to state 12; another operation (2) is in progress"),
            connection_invalidated=True,
        ),
    ],
    ids=["psycopg", "psycopg2", "timeout", "wrapped", "invalidated", "ended"],
)
def test_a_lost_connection_is_unavailable(error):
    assert type(map_error(error)) is StoreUnavailable
    assert str(map_error(error)).endswith(
        "Check that the server is running, and the host, port, user and password in the URL."
    )


def test_a_connection_that_somebody_ended_says_nothing_of_passwords():
    mapped = map_error(wrapped("terminating connection due to administrator command", "57P01"))
    assert str(mapped) == (
        "terminating connection due to administrator command. "
        "The server ended an open connection. Check that the server is running, and run this again."
    )


def test_an_exhausted_pool_is_unavailable_and_the_server_is_not_to_blame():
    mapped = map_error(PoolTimeout("QueuePool limit of size 1 overflow 0 reached"))
    assert type(mapped) is StoreUnavailable
    assert "larger pool_size" in str(mapped)
    assert "server" not in str(mapped)


@pytest.mark.parametrize("module", ["asyncpg.connect_utils", "sqlalchemy.pool.impl"])
def test_an_oserror_of_the_driver_is_unavailable(module):
    # asyncpg lets the socket's own error through.
    with pytest.raises(StoreUnavailable, match="Connection refused"), mapped_errors():
        from_module(module, ConnectionRefusedError(111, "Connection refused"))


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file"), TimeoutError("embedder"), ConnectionError()])
def test_an_oserror_of_the_caller_stays_theirs(error):
    # From a generator of rows that reads a file, or from an embedder behind HTTP.
    with pytest.raises(type(error)) as same, mapped_errors():
        from_module("application", error)
    assert same.value is error


def test_an_operational_error_of_another_database_stays_theirs():
    import sqlite3

    error = sqlite3.OperationalError("no such table: t")
    assert map_error(error) is None
    assert map_error(OperationalError("SELECT 1", {}, error)) is None


def test_an_ivfflat_build_that_needs_more_memory_says_where_it_gets_it():
    error = map_error(wrapped("memory required is 235 MB, maintenance_work_mem is 64 MB", "54000"))
    assert isinstance(error, errors.ConfigurationError)
    assert "PGOPTIONS" in str(error)
    locked = map_error(wrapped("canceling statement due to lock timeout", "55P03"))
    assert isinstance(locked, errors.TransactionConflict)
    assert "pg_stat_activity" in str(locked)


def test_a_parallel_build_without_room_in_shared_memory_says_how_it_gets_some():
    full = "No space left on device"
    shared = map_error(
        wrapped(f'could not resize shared memory segment "/PostgreSQL.1" to 265326016 bytes: {full}', "53100")
    )
    assert isinstance(shared, errors.StoreUnavailable)
    assert "shm_size" in str(shared)
    assert "--workers 0" in str(shared)
    disk = str(map_error(wrapped(f'could not extend file "base/16385/16453": {full}', "53100")))
    assert disk.endswith("Free space on the server's disk, and run this again.")


def test_a_server_that_has_no_room_for_a_session_says_where_to_make_some():
    """Its own words are all that libpq hands on: 'check that the server runs' was the advice."""
    said = 'connection to server on socket "/s" failed: FATAL:  could not write init file: No space left on device'
    found = map_error(DriverError(f"connection failed: {said}"))
    assert isinstance(found, errors.StoreUnavailable)
    assert str(found).endswith("No space left on device. Free space on the server's disk, and run this again.")
