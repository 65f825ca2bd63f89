"""Every error that Rowspace raises, and the one place where SQLSTATE becomes an error class.

The driver's own exception class says little: a dimension mismatch is `DataError` on psycopg and a bare
`DBAPIError` on asyncpg. The five characters of SQLSTATE are the same on every driver
(PostgreSQL manual, appendix A): they decide, and the message where one of them has several causes.
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
        return cls(f"The collection {name!r} was dropped since it was looked up: get it again.")


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

# What drivers raise without a SQLSTATE for a server that is not reached; the second is psycopg's `connect_timeout`.
_UNREACHED = {"OperationalError", "ConnectionTimeout"}

# What SQLAlchemy 2.0 puts in front of the words of asyncpg.
_CLASS = re.compile(r"\A<class '[^']*'>: ")

# What lies between a driver and the socket; names are looked up in a thread.
_PLUMBING = {"asyncio", "concurrent", "selectors", "socket", "ssl", "uvloop"}

# What stands for the SQLSTATE of an error that has none: "connection_exception", and a word of our own.
_LOST, _EXHAUSTED = "08000", "pool"

# What helps, by the kind of error, where nothing better is known.
_FIX: dict[type[RowspaceError], str] = {
    CollectionNotFound: "The collection was dropped or replaced since it was looked up: get it again.",
    SchemaNotReady: (
        "Run the migrations: `rowspace db upgrade` or `alembic upgrade head`. If they are not the reason, the search "
        "path of this role lacks the schema of the tables or that of the extension vector."
    ),
    StoreUnavailable: "Check that the server runs, and the host, port, user and password in the URL.",
    PermissionDenied: "Grant the right to this role, or connect with one that has it.",
    TransactionConflict: "Roll back and run the whole transaction again.",
}

# By error: what its SQLSTATE and message, with a space between them, begin with, and what helps where the kind does not
# tell. The first that fits counts.
_KNOWN: dict[type[RowspaceError], dict[str, str | None]] = {
    ConfigurationError: {
        ".*another (?:command is already|operation is) in progress": (
            "The connection of the session is busy: with a stream of matrices or of columns, whose block ends first, "
            "or with another thread or task, which needs a session of its own."
        ),
        # The last: the statement of that name is another session's.
        r"26000|42P05|\w* bind message supplies \d+ parameters, but prepared statement": (
            "A pooler such as PgBouncer gives each transaction another connection, without its prepared statements. "
            'Open the database with connect_args={"prepare_threshold": None} for psycopg, {"statement_cache_size": 0, '
            '"prepared_statement_cache_size": 0} for asyncpg; a URL for Rowspace says ?prepare_threshold=none or '
            "?statement_cache_size=0&prepared_statement_cache_size=0."
        ),
        '.*root certificate file ".*" does not exist': (
            "Name the certificate of the server's authority: by sslrootcert in the URL, for asyncpg by PGSSLROOTCERT."
        ),
        r"25P01|\w* can't use a named cursor outside of transactions": (
            "The session is in AUTOCOMMIT: streams and bulk reads and writes need a transaction."
        ),
        r"\w* (?:sending query and params failed: number of parameters|the number of query arguments)": (
            "A statement takes so many values and no more: hand them over as one array, column = ANY(array), or as a "
            "subquery."
        ),
        r"\w* data type (?:\S+\.)?(?:vector|halfvec|sparsevec|bit) has no default operator class for access method "
        '"(?:hnsw|ivfflat)"': (
            'Name one, as HNSW("cosine").index("embedding") does, or postgresql_ops={"embedding": "vector_cosine_ops"}.'
        ),
        r"\w* (?:invalid dsn: )?invalid connection option": "The URL or `connect_args` has it: take it out.",
        r"\w* memory required is .*, maintenance_work_mem is": (
            "An ivfflat index is built in that memory: give more by --memory or maintenance_work_mem= where that can "
            "be said, else by ALTER ROLE ... SET maintenance_work_mem, or for one command by "
            'PGOPTIONS="-c maintenance_work_mem=1GB".'
        ),
        r"\w* connect\(\) got an unexpected keyword argument": (
            "asyncpg knows no such option, which the URL or `connect_args` has: take it out. Its word for sslmode is "
            "ssl, for connect_timeout timeout; application_name, and each that options sets, such as search_path, is "
            "one of connect_args={'server_settings': {...}}."
        ),
        r"\w* invalid input for query argument .*"
        r"\((?:expected list or ndarray|could not convert string to float: '\{')\)$": (
            "pgvector's register_vector has made codecs on this asyncpg connection, which take no text: call "
            "rowspace.wire.instrument(engine), or hand the engine to an AsyncDatabase, and their place is taken."
        ),
        # CREATE INDEX and DROP INDEX; REINDEX goes through the partitions.
        "0A000 .*cannot (?:create|drop) .*partitioned .*concurrently": (
            "concurrently=False does it, and writers wait meanwhile."
        ),
        "42704 .*text search configuration": None,
    },
    InvalidRow: {
        "21000 .*affect row a second time": (
            "Two rows of a batch have keys that are one to the server, as 'A' and 'a' of citext: give one of them."
        ),
        "54000 .*index row size": (
            "An entry of a b-tree index holds 2,704 bytes: shorten the value. A number of 5,000 digits or more at a "
            "metadata key that has an index of its own is stored as text."
        ),
    },
    DimensionMismatch: {"22000 .*(?:dimensions|bit lengths)": None},
    InvalidVector: {
        "22000 .*vec": None,
        "22003 .*halfvec": (
            "A halfvec and an index with quantize='halfvec' hold numbers up to 65,504: scale the vectors."
        ),
    },
    InvalidText: {
        "22021|22P05": None,
        "54000 .*tsvector": "A text may hold 1 MB of distinct words: cut it into parts.",
    },
    InvalidSetting: {"22023": None},
    PermissionDenied: {
        "25006": "The server is a standby, or the transaction may only read: connect to the primary.",
        "42501": None,
    },
    CollectionNotFound: {
        # The partition of a collection, and what a re-embedding puts beside it: no migration makes them.
        r'42P01 .*relation "(?:[^"]*\.)?documents_\d+(?:_next|_changes)?" does not exist': None,
    },
    SchemaNotReady: {
        "42P01": None,
        '3F000 schema "': (
            "Create it, or correct its name: a model, `Database(schema=...)` or a `schema_translate_map` has it."
        ),
        "3F000": (
            "The search path of this role has no schema that is there. ALTER ROLE ... SET search_path = public; where "
            "the extension's is, and that of the tables where they have one."
        ),
        # Every use of a collection begins with its row: of a column that a later migration adds, this is missing.
        r'42703 .*(?:column (?:\w+\.)?collections\.\w+|of relation "collections") does not exist': None,
        # A type, an access method, an operator class or a setting of the extension; the first name is what is missing.
        r'42704 (?!data type)[^"]*"(?:[^"]*\.)?(?:vector|halfvec|sparsevec|hnsw|ivfflat)["._]': None,
        # Before PostgreSQL 15 a setting that the extension does not know is taken, and does nothing.
        r'42602 .*"(?:hnsw|ivfflat)\.': (
            "It is one of pgvector 0.8, and the server has an older one. Install pgvector 0.8 or newer there, then "
            "ALTER EXTENSION vector UPDATE;"
        ),
        # Of other types, no migration makes the operator or the function that is missing: it is the caller's.
        r"42883 .*\b(?:vector|halfvec|sparsevec|binary_quantize|documents_note_change)(?:\b|_)": None,
    },
    TransactionConflict: {
        # The table of a prepared statement was altered; in the words of PostgreSQL, and of asyncpg.
        "40001|40P01|0A000 cached (?:statement )?plan": None,
        # The catalogs are read by a snapshot, what describes an entry of them is not; nor is, on a standby, an HNSW
        # index that a vacuum on the primary takes rows out of.
        r"XX000 .*(?:could not open relation with OID|cache lookup failed for (?:relation|index)\b"
        "|cannot load deleted element)": None,
        # On asyncpg, of a parameter's type; the latter are the words of `rowspace.wire.asyncpg`.
        r"XX000 .*cache lookup failed for type\b|22000 .*got WireBytes\)$": (
            "Since the connection was opened, the extension vector was made anew, as by a restore, or the engine was "
            "instrumented: roll back and run the whole transaction again."
        ),
        "55P03": "pg_stat_activity tells whose transactions stay open: end them, or wait, and run it again.",
    },
    StoreUnavailable: {
        _EXHAUSTED: (
            "All connections of the pool are in use: end the sessions and streams that nobody needs, or open the "
            "database with a larger pool_size or pool_timeout."
        ),
        # While it connects, libpq hands on the server's words alone.
        r"53300|(?:08000)? .*FATAL:\s+(?:too many connections|sorry, too many clients|remaining connection slots)": (
            "Give the pools of its clients a smaller pool_size and max_overflow, or the server more max_connections."
        ),
        "53100 .*shared memory segment": (
            "A parallel build has its memory in the server's /dev/shm, which Docker makes 64 MB: give that more, as "
            "shm_size or --shm-size does, or build in one process: by --workers 0 or parallel_workers=0 where that can "
            'be said, else for one command by PGOPTIONS="-c max_parallel_maintenance_workers=0".'
        ),
        # Also of a server that cannot open a session for want of room, which libpq hands on as words alone.
        r"53100|(?:08000)? .*FATAL:\s.*No space left on device": "Make room on the server's disk, and run it again.",
        "08P01": "A pooler such as PgBouncer says so. Its pools may be full (default_pool_size); its log tells more.",
        "25P03": (
            "The session waited in a transaction for longer than idle_in_transaction_session_timeout: run it again."
        ),
        "25P04": "The transaction took longer than transaction_timeout: run it again in parts, or raise the limit.",
        "57P0[12]": "Check that the server runs, and run it again: the connection was there, and was ended.",
        "57P05": "The connection lay idle for longer than idle_session_timeout: open the session again.",
        # libpq, psycopg, and the resolver, whose words asyncpg hands on.
        "08.*(?:could not translate host name|failed to resolve host|Name or service not known"
        "|Temporary failure in name resolution|nodename nor servname|No address associated with hostname)": (
            "Check the host in the URL, and that its name is known here; several hosts are ?host=a:5432&host=b:5432."
        ),
        "08.*(?:certificate verify failed|server certificate for .* does not match host name)": (
            "The server's certificate has expired, is for another host, or is of an authority that sslrootcert in the "
            "URL, for asyncpg PGSSLROOTCERT, does not name."
        ),
        "08.*(?:server does not support SSL|rejected SSL upgrade)": (
            "Switch ssl on in the server, or take sslmode, for asyncpg ssl, out of the URL."
        ),
        # The last is an internal error of asyncpg's.
        "08.*(?:session is (?:not )?read-only|server is (?:not )?in hot standby)"
        r"|(?:08000)? None of the hosts match the target attribute": (
            "Name the host of another server in the URL, or take target_session_attrs out of it."
        ),
        "08.*definition of service .* not found": (
            "Check the service in the URL, and the file that PGSERVICEFILE names."
        ),
        "08|28000|28P01|3D000|57P03": None,
    },
}


def sqlstate_of(error: Any) -> str | None:
    """Return the SQLSTATE of a driver's error, or None where the server did not send one."""
    sent = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    # SQLAlchemy leaves it out of this one.
    return sent or ("0A000" if type(error).__name__ == "InvalidCachedStatementError" else None)


def map_error(error: Any) -> RowspaceError | None:
    """Return the Rowspace error for a SQLAlchemy or driver error, or None if there is none.

    Only conditions that Rowspace can explain better are mapped; a unique violation, for example, stays SQLAlchemy's
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
    """Return whether a socket error comes from the driver, and not from the caller's own file or HTTP request."""
    modules = [frame.f_globals.get("__name__", "").partition(".")[0] for frame, _ in walk_tb(error.__traceback__)]
    return next((module for module in reversed(modules) if module not in _PLUMBING), "") in _DRIVERS


def _sentence(message: str) -> str:
    return message if message.endswith((".", "!", "?")) else message + "."


def mapped_errors() -> AbstractContextManager[None]:
    """Raise the Rowspace error instead of the driver's, with the original as its cause."""
    return _MAPPED


class _Mapped(AbstractContextManager[None]):
    # Not a generator: it is entered for every search.
    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Raise the error that stands for the one that came, if there is one."""
        if not isinstance(error, Exception) or isinstance(error, RowspaceError):
            return
        origin = getattr(error, "orig", None)
        if isinstance(origin, RowspaceError):
            # A column type refused the value: SQLAlchemy wraps what it says in a statement that was never sent.
            raise origin from None
        mapped = map_error(error)
        if mapped is None:
            return
        for note in getattr(error, "__notes__", ()):
            mapped.add_note(note)
        raise mapped from error


_MAPPED = _Mapped()
