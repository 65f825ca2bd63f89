"""Every error that Rowspace raises, and the only place that maps a SQLSTATE to an error class.

The exception class of a driver says little: a dimension mismatch is a `DataError` on psycopg and a bare `DBAPIError` on
asyncpg. The SQLSTATE (PostgreSQL manual, appendix A) is the same on every driver, so it selects the class. If one
SQLSTATE has several causes, the message of the server selects it too.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from traceback import walk_tb
from types import TracebackType
from typing import Any, Self

__all__ = [
    "CollectionExists",
    "CollectionNotFound",
    "ConfigurationError",
    "DimensionMismatch",
    "EmbedderFailed",
    "EmbedderMismatch",
    "InvalidCursor",
    "InvalidFilter",
    "InvalidRow",
    "InvalidSetting",
    "InvalidText",
    "InvalidVector",
    "MissingExtra",
    "ModelError",
    "ModelUnavailable",
    "PermissionDenied",
    "RowNotFound",
    "RowspaceError",
    "SchemaNotReady",
    "StoreUnavailable",
    "TransactionConflict",
    "map_error",
    "mapped_errors",
    "sqlstate_of",
]


class RowspaceError(Exception):
    """Base of every error that Rowspace raises on purpose."""

    #: Where in the arguments of a service the fault lies, such as `("documents", 3, "content")`; empty if unknown.
    place: tuple[str | int, ...] = ()

    def at(self, *place: str | int) -> Self:
        """Return the error, with the place of the fault."""
        self.place = place
        return self


class ConfigurationError(RowspaceError, ValueError):
    """An option, a URL or a combination of them that cannot work."""


class MissingExtra(RowspaceError, ImportError):
    """An optional dependency is not installed; the message names the extra."""


class InvalidVector(RowspaceError, ValueError):
    """A value that is not a vector: wrong shape, dtype, NaN, infinity, or empty."""


class DimensionMismatch(InvalidVector):
    """A vector whose length is not the dimension of its column or collection."""


class InvalidFilter(RowspaceError, ValueError):
    """A metadata filter with an unknown operator or an invalid operand; the message names the path."""


class InvalidCursor(RowspaceError, ValueError):
    """A cursor that was altered, or that belongs to another listing."""


class InvalidSetting(RowspaceError, ValueError):
    """A number or an option of a search that is out of range."""


class InvalidText(RowspaceError, ValueError):
    """Text that PostgreSQL cannot store: a NUL byte, a lone surrogate, too long a text; a load names the row."""


class InvalidRow(RowspaceError, ValueError):
    """A row of a load that cannot be stored: unknown or missing attributes, or a value of a wrong type."""


class CollectionNotFound(RowspaceError, LookupError):
    """There is no collection of that name."""

    @classmethod
    def dropped(cls, name: str) -> Self:
        """Return the error for a collection that was dropped after it was looked up."""
        return cls(f"The collection {name!r} was dropped after it was looked up. Get it again.")


class CollectionExists(RowspaceError, ValueError):
    """A collection of that name already exists."""


class RowNotFound(RowspaceError, LookupError):
    """There is no row with that primary key, or no document with that id."""


class EmbedderMismatch(RowspaceError, ValueError):
    """The service's embedder is not the one that filled the collection."""


class EmbedderFailed(RowspaceError, RuntimeError):
    """An embedding process died during its work, or could not start."""


class SchemaNotReady(RowspaceError):
    """Tables or the extension are missing, as migrations have not run; or the extension or the server is too old."""


class PermissionDenied(RowspaceError):
    """The database role may not do this, or the server or the transaction is read-only."""


class TransactionConflict(RowspaceError):
    """A serialization failure, a deadlock or a lock timeout: retry the whole transaction."""


class StoreUnavailable(RowspaceError, ConnectionError):
    """The server cannot be reached, refused the login, closed the connection, or is out of resources."""


class ModelError(RowspaceError):
    """A chat model or a hosted embedder refused a request, or returned something that is not an answer."""


class ModelUnavailable(ModelError):
    """A chat model or a hosted embedder is unavailable, overloaded, or limits the request rate: try again later.

    `retry_after` is the number of seconds that it asked to wait, or None.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


_DRIVERS = {"asyncpg", "psycopg", "psycopg2", "sqlalchemy"}

# Classes that drivers raise without a SQLSTATE if they cannot reach the server; psycopg raises the second one when
# `connect_timeout` expires.
_UNREACHED = {"OperationalError", "ConnectionTimeout"}

# SQLAlchemy 2.0 puts this prefix in front of asyncpg's message.
_CLASS = re.compile(r"\A<class '[^']*'>: ")

# Modules between a driver and the socket; host names are resolved in a thread.
_PLUMBING = {"asyncio", "concurrent", "selectors", "socket", "ssl", "uvloop"}

# Stand-ins for the SQLSTATE of an error that has none: "connection_exception", and a word of our own.
_LOST, _EXHAUSTED = "08000", "pool"

# The default fix for each class of errors.
_FIX: dict[type[RowspaceError], str] = {
    CollectionNotFound: "The collection was dropped or replaced after it was looked up. Get it again.",
    SchemaNotReady: (
        "Run the migrations: `rowspace db upgrade` or `alembic upgrade head`. If they have run, add the schemas of the "
        "tables and of the extension vector to the search path of this role."
    ),
    StoreUnavailable: "Check that the server is running, and the host, port, user and password in the URL.",
    PermissionDenied: "Grant the privilege to this role, or connect as a role that has it.",
    TransactionConflict: "Roll back and run the whole transaction again.",
}

# For each class: patterns for the start of the SQLSTATE and the message, joined by a space, and their fixes. None is
# the default fix of the class. The first pattern that matches counts.
_KNOWN: dict[type[RowspaceError], dict[str, str | None]] = {
    ConfigurationError: {
        ".*another (?:command is already|operation is) in progress": (
            "The connection of this session is busy. End the block of the stream of matrices or columns that uses it, "
            "and give each thread or task its own session."
        ),
        # Messages of SQLAlchemy, and of the server if the savepoints of two tasks or threads overlap.
        r".*concurrent operations are not permitted|.*Method '.*' can't be called here"
        r'|3B001 savepoint "sa_savepoint_\d+" does not exist': (
            "Another thread or task is using this session. Give each its own session."
        ),
        ".*Session has been permanently closed": (
            "Its block or its request has ended. Use the session before that, or open another one for work that goes "
            "on, such as a streamed response."
        ),
        # The last pattern: the prepared statement of that name belongs to another session.
        r"26000|42P05|\w* bind message supplies \d+ parameters, but prepared statement": (
            "A pooler such as PgBouncer gives each transaction another connection, without its prepared statements. "
            'Open the database with connect_args={"prepare_threshold": None} on psycopg, {"statement_cache_size": 0, '
            '"prepared_statement_cache_size": 0} on asyncpg. In a URL for Rowspace, add ?prepare_threshold=none or '
            "?statement_cache_size=0&prepared_statement_cache_size=0."
        ),
        '.*root certificate file ".*" does not exist': (
            "Name the file with the certificate of the server's authority by sslrootcert in the URL; for asyncpg, by "
            "the variable PGSSLROOTCERT."
        ),
        r"25P01|\w* can't use a named cursor outside of transactions": (
            "The session is in AUTOCOMMIT mode. Streams, bulk reads and bulk writes need a transaction."
        ),
        r"\w* (?:sending query and params failed: number of parameters|the number of query arguments)": (
            "PostgreSQL limits the number of parameters of a statement. Pass the values as one array, "
            "column = ANY(array), or as a subquery."
        ),
        r"\w* data type (?:\S+\.)?(?:vector|halfvec|sparsevec|bit) has no default operator class for access method "
        '"(?:hnsw|ivfflat)"': (
            'Name one by HNSW("cosine").index("embedding"), or by postgresql_ops={"embedding": "vector_cosine_ops"}.'
        ),
        r"\w* (?:invalid dsn: )?invalid connection option": "Remove this option from the URL or from `connect_args`.",
        r"\w* memory required is .*, maintenance_work_mem is": (
            "The build of an ivfflat index needs this memory. Raise it by --memory or maintenance_work_mem=, by ALTER "
            'ROLE ... SET maintenance_work_mem, or for a single command by PGOPTIONS="-c maintenance_work_mem=1GB".'
        ),
        r"\w* connect\(\) got an unexpected keyword argument": (
            "asyncpg does not know this option; remove it from the URL or from `connect_args`. For sslmode, asyncpg "
            "has ssl, and for connect_timeout, timeout. Set application_name, and settings such as search_path, by "
            "connect_args={'server_settings': {...}}."
        ),
        r"\w* invalid input for query argument .*"
        r"\((?:expected list or ndarray|could not convert string to float: '\{')\)$": (
            "pgvector's register_vector has set codecs on this asyncpg connection that do not accept text. Replace "
            "them: call rowspace.wire.instrument(engine), or pass the engine to an AsyncDatabase."
        ),
        # CREATE INDEX and DROP INDEX; REINDEX works partition by partition.
        "0A000 .*cannot (?:create|drop) .*partitioned .*concurrently": (
            "Pass concurrently=False; writers wait until it is done."
        ),
        "42704 .*text search configuration": None,
    },
    InvalidRow: {
        "21000 .*affect row a second time": (
            "The server considers the keys of two rows of this batch equal, such as 'A' and 'a' in citext. Pass one of "
            "these rows."
        ),
        "54000 .*index row size": (
            "An entry of a b-tree index has at most 2,704 bytes. Shorten the value. At an indexed metadata key, pass a "
            "number of 5,000 or more digits as text."
        ),
    },
    DimensionMismatch: {"22000 .*(?:dimensions|bit lengths)": None},
    InvalidVector: {
        "22000 .*vec": None,
        "22003 .*halfvec": (
            "A halfvec, and an index with quantize='halfvec', can store numbers up to 65,504. Scale the vectors."
        ),
    },
    InvalidText: {
        "22021|22P05": None,
        "54000 .*tsvector": "A text can contain up to 1 MB of distinct words. Split it into parts.",
    },
    InvalidSetting: {"22023": None},
    PermissionDenied: {
        "25006": "The server is a standby, or the transaction is read-only. Connect to the primary to write.",
        "42501": None,
    },
    CollectionNotFound: {
        # The partition of a collection, and the tables that a re-embedding adds: no migration creates them.
        r'42P01 .*relation "(?:[^"]*\.)?documents_\d+(?:_next|_changes)?" does not exist': None,
    },
    SchemaNotReady: {
        "42P01": None,
        '3F000 schema "': (
            "Create the schema, or correct its name in the model, `Database(schema=...)` or `schema_translate_map`."
        ),
        "3F000": (
            "No schema in the search path of this role exists. Run ALTER ROLE ... SET search_path = public; with the "
            "schemas of the extension and of the tables instead of public if they are in others."
        ),
        # Every use of a collection starts by reading its row, so a column of a later migration is missing here first.
        r'42703 .*(?:column (?:\w+\.)?collections\.\w+|of relation "collections") does not exist': None,
        # A type, an access method, an operator class or a setting of the extension; the first name is the missing one.
        r'42704 (?!data type)[^"]*"(?:[^"]*\.)?(?:vector|halfvec|sparsevec|hnsw|ivfflat)["._]': None,
        # Before PostgreSQL 15, a setting that the extension does not know is accepted and has no effect.
        r'42602 .*"(?:hnsw|ivfflat)\.': (
            "The setting needs pgvector 0.8, and the server has an older version. Install pgvector 0.8 or newer there, "
            "then run ALTER EXTENSION vector UPDATE;"
        ),
        # A missing operator or function of other types is an error of the caller's: no migration creates it.
        r"42883 .*\b(?:vector|halfvec|sparsevec|binary_quantize|documents_note_change)(?:\b|_)": None,
    },
    TransactionConflict: {
        # The table of a prepared statement was altered: messages of PostgreSQL and of asyncpg.
        "40001|40P01|0A000 cached (?:statement )?plan": None,
        # A query reads the catalogs by its snapshot, but functions that describe an entry do not. Nor does a search on
        # a standby of an HNSW index, while a vacuum on the primary removes rows from it.
        r"XX000 .*(?:could not open relation with OID|cache lookup failed for (?:relation|index)\b"
        "|cannot load deleted element)": None,
        # On asyncpg, for the type of a parameter; the second message comes from `rowspace.wire.asyncpg`.
        r"XX000 .*cache lookup failed for type\b|22000 .*got WireBytes\)$": (
            "After this connection was opened, the extension vector was created again, as by a restore, or the engine "
            "was instrumented. Roll back and run the whole transaction again."
        ),
        "55P03": (
            "Another transaction holds the lock. Find it in pg_stat_activity and end it, or wait; then run this again."
        ),
    },
    StoreUnavailable: {
        _EXHAUSTED: (
            "All connections of the pool are in use. Close sessions and streams that are no longer needed, or open the "
            "database with a larger pool_size or pool_timeout."
        ),
        # While connecting, libpq passes on only the server's message, without its SQLSTATE.
        r"53300|(?:08000)? .*FATAL:\s+(?:too many connections|sorry, too many clients|remaining connection slots)": (
            "Reduce pool_size and max_overflow of the clients' pools, or raise max_connections of the server."
        ),
        "53100 .*shared memory segment": (
            "A parallel build needs memory in /dev/shm of the server, which has 64 MB in Docker. Enlarge it by "
            "shm_size or --shm-size, or build in a single process: by --workers 0 or parallel_workers=0, or for a "
            'single command by PGOPTIONS="-c max_parallel_maintenance_workers=0".'
        ),
        # Also if the server has no space to open a session; libpq then passes on only the message.
        r"53100|(?:08000)? .*FATAL:\s.*No space left on device": "Free space on the server's disk, and run this again.",
        "08P01": (
            "This is an error of a pooler such as PgBouncer. Its pools may be full (default_pool_size); see its log."
        ),
        "25P03": (
            "The session was idle in a transaction for longer than idle_in_transaction_session_timeout. Run the "
            "transaction again."
        ),
        "25P04": "The transaction took longer than transaction_timeout. Run it again in parts, or raise the limit.",
        "57P0[12]": "The server ended an open connection. Check that the server is running, and run this again.",
        "57P05": "The connection was idle for longer than idle_session_timeout. Open another session.",
        # Messages of libpq, of psycopg, and of the resolver, which asyncpg passes on.
        "08.*(?:could not translate host name|failed to resolve host|Name or service not known"
        "|Temporary failure in name resolution|nodename nor servname|No address associated with hostname)": (
            "Check the host in the URL, and that this machine can resolve its name. To name several hosts, use "
            "?host=a:5432&host=b:5432."
        ),
        "08.*(?:certificate verify failed|server certificate for .* does not match host name)": (
            "The server's certificate has expired, is for another host, or is not from the authority that sslrootcert "
            "in the URL names (for asyncpg, the variable PGSSLROOTCERT)."
        ),
        "08.*(?:server does not support SSL|rejected SSL upgrade)": (
            "Enable ssl on the server, or remove sslmode (for asyncpg, ssl) from the URL."
        ),
        # The last message is an internal error of asyncpg.
        "08.*(?:session is (?:not )?read-only|server is (?:not )?in hot standby)"
        r"|(?:08000)? None of the hosts match the target attribute": (
            "Name the host of another server in the URL, or remove target_session_attrs from it."
        ),
        "08.*definition of service .* not found": (
            "Check the service in the URL, and the file that PGSERVICEFILE names."
        ),
        "08|28000|28P01|3D000|57P03": None,
    },
}


def sqlstate_of(error: Any) -> str | None:
    """Return the SQLSTATE of a driver's error, or None if the server did not send one."""
    sent = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    # SQLAlchemy omits it for this error.
    return sent or ("0A000" if type(error).__name__ == "InvalidCachedStatementError" else None)


def map_error(error: Any) -> RowspaceError | None:
    """Return the Rowspace error for a SQLAlchemy or driver error, or None if there is none.

    Only errors that Rowspace can explain better are mapped. A unique violation, for example, remains SQLAlchemy's
    `IntegrityError`.
    """
    origin = getattr(error, "orig", None) or error
    text = _CLASS.sub("", str(origin).strip())
    message = text.splitlines()[0] if text else type(origin).__name__
    said = f"{sqlstate_of(origin) or _stand_in(error)} {message}"
    for kind, fixes in _KNOWN.items():
        for known, fix in fixes.items():
            if re.match(known, said):
                return kind(" ".join(filter(None, [_sentence(message), fix or _FIX.get(kind)])))
    return None


def _stand_in(error: Any) -> str:
    from sqlalchemy.exc import TimeoutError as PoolTimeout

    if isinstance(error, PoolTimeout):
        return _EXHAUSTED
    return _LOST if _lost_connection(error) else ""


def _lost_connection(error: Any) -> bool:
    origin = getattr(error, "orig", None) or error
    if getattr(error, "connection_invalidated", False):
        return True
    if isinstance(origin, OSError):
        return _raised_by_driver(origin)
    kind = type(origin)
    return kind.__name__ in _UNREACHED and kind.__module__.partition(".")[0] in _DRIVERS


def _raised_by_driver(error: BaseException) -> bool:
    """Return whether a socket error comes from the driver, rather than from a file or an HTTP request of the caller."""
    modules = [frame.f_globals.get("__name__", "").partition(".")[0] for frame, _ in walk_tb(error.__traceback__)]
    return next((module for module in reversed(modules) if module not in _PLUMBING), "") in _DRIVERS


def _sentence(message: str) -> str:
    return message if message.endswith((".", "!", "?")) else message + "."


def mapped_errors() -> AbstractContextManager[None]:
    """Raise the Rowspace error instead of the driver's, with the original as its cause."""
    return _MAPPED


class _Mapped(AbstractContextManager[None]):
    # A class, because it is entered for every search and a generator costs more.
    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Raise the Rowspace error for `error`, if there is one."""
        if not isinstance(error, Exception) or isinstance(error, RowspaceError):
            return
        origin = getattr(error, "orig", None)
        if isinstance(origin, RowspaceError):
            # A column type refused the value. SQLAlchemy's error would show a statement that was never sent.
            raise origin from None
        mapped = map_error(error)
        if mapped is None:
            return
        for note in getattr(error, "__notes__", ()):
            mapped.add_note(note)
        raise mapped from error


_MAPPED = _Mapped()
