"""Make an engine send and receive vectors in binary.

| driver | parameters | results |
| --- | --- | --- |
| psycopg | binary, by a dumper on the connection | `vector_send(column)`: psycopg reads rows as text |
| asyncpg | binary, by a codec on the connection | `vector_send(column)`: the codec gives pgvector's types text |
| psycopg2 | text: the driver has nothing else | `vector_send(column)` |

A SELECT that is ordered by a vector itself instead of a distance, or by `text()`, selects the column unchanged and
reads text: with `DISTINCT`, a label or a `UNION`, `ORDER BY` refers to the selected expression, and bytes sort
differently. A SELECT compiled with `literal_binds`, as for a view or `CREATE TABLE AS`, also selects it unchanged.

`rowspace.types` looks for two attributes that this module sets on the dialect: `rowspace_wrap`, which makes a driver
parameter from the bytes and a function for their text, and `rowspace_send`, which selects `vector_send`. Without them,
on an engine that was never instrumented, every value is text.

An application may call pgvector's `register_vector`. On asyncpg, this registers a codec that accepts neither text nor
bytes: call it before `instrument`, in a listener to the engine's `connect` event or on existing connections.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine

from rowspace.errors import ConfigurationError

__all__ = ["instrument", "is_ready"]

#: The key in `connection_record.info` that marks a driver connection with adapters.
_READY = "rowspace_wire"


def instrument(engine: Engine | AsyncEngine) -> None:
    """Make an engine use binary vectors, on existing and new connections; a second call does nothing.

    Call it before the engine is used: on asyncpg, a connection that is already in use fails at its next vector, and is
    replaced.

    The engine still belongs to the caller; this function opens and closes nothing. An engine also works without this
    call, using text, except on asyncpg after pgvector's `register_vector`, whose codec does not accept text. This call
    replaces that codec on new connections.

    Raises:
        ConfigurationError: the engine is not for PostgreSQL, or its driver is not psycopg, asyncpg or psycopg2.
    """
    sync_engine = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    dialect: Any = sync_engine.dialect
    if dialect.name != "postgresql" or dialect.driver not in _SETUP:
        message = f"Expected postgresql with one of {', '.join(_SETUP)}, got {dialect.name} with {dialect.driver}."
        raise ConfigurationError(message)
    if not hasattr(dialect, "rowspace_send"):
        _SETUP[dialect.driver](sync_engine, dialect)


def is_ready(connection: Connection) -> bool:
    """Return whether the driver's connection has its adapters; psycopg2 has none."""
    return bool(connection.info.get(_READY))


def _psycopg(engine: Engine, dialect: Any) -> None:
    from rowspace.wire.psycopg import WireValue, adapting, prepare

    @event.listens_for(engine, "checkout")
    def register(_connection: Any, record: Any, _proxy: Any) -> None:
        if _READY not in record.info:
            prepare(record.driver_connection)
            record.info[_READY] = True

    # For connections that are in use now, which come by no checkout before their next statement.
    dialect.do_execute, dialect.do_executemany = adapting(dialect.do_execute), adapting(dialect.do_executemany)
    dialect.rowspace_wrap = WireValue
    dialect.rowspace_send = True


def _psycopg2(_engine: Engine, dialect: Any) -> None:
    dialect.rowspace_send = True


def _asyncpg(engine: Engine, dialect: Any) -> None:
    from rowspace.wire.asyncpg import WireBytes, is_outdated, register_codecs

    is_disconnect = dialect.is_disconnect

    @event.listens_for(engine, "checkout")
    def register(connection: Any, record: Any, _proxy: Any) -> None:
        # False if the extension does not exist yet; checked again at each checkout until a migration has created it.
        if not record.info.get(_READY):
            record.info[_READY] = connection.run_async(register_codecs)
            # SQLAlchemy caches prepared statements with the old codecs; asyncpg discards its own.
            if (prepared := connection._prepared_statement_cache) is not None:  # noqa: SLF001 -- there is no other way
                prepared.clear()

    # In the failed transaction, codecs cannot be registered again; the next connection gets new ones.
    dialect.is_disconnect = lambda error, *of: is_disconnect(error, *of) or is_outdated(error)
    dialect.rowspace_wrap = lambda data, _text: WireBytes(data)
    dialect.rowspace_send = True


_SETUP = {"psycopg": _psycopg, "psycopg_async": _psycopg, "psycopg2": _psycopg2, "asyncpg": _asyncpg}
