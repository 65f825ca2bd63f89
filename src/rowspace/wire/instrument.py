"""Make an engine send and receive vectors in binary.

| driver | parameters | results |
| --- | --- | --- |
| psycopg | binary, by a dumper on the connection | `vector_send(column)`: psycopg reads rows as text |
| asyncpg | binary, by a codec on the connection | `vector_send(column)`: the codec gives pgvector's types text |
| psycopg2 | text: the driver has nothing else | `vector_send(column)` |

A SELECT that is ordered by a vector itself, not by a distance, or by `text()` selects the column as it is and reads
text: `ORDER BY` means what is selected where there is `DISTINCT`, a label or a `UNION`, and bytes sort differently.
One that is compiled with `literal_binds`, as for a view or `CREATE TABLE AS`, selects the column as it is, too.

What this leaves on the dialect is what `rowspace.types` looks for: `rowspace_wrap`, which makes a parameter of the
driver's of the bytes and of what makes their text, and `rowspace_send`, which asks for `vector_send`. Both are absent
on an engine that was never instrumented, and then every value is text.

An application may have called pgvector's `register_vector`. On asyncpg that is a codec which takes neither text nor
bytes: it has to be called before this, in a listener to the engine's `connect` or on connections made before.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine

from rowspace.errors import ConfigurationError

__all__ = ["instrument", "is_ready"]

#: Marks, in `connection_record.info`, a driver connection that has its adapters.
_READY = "rowspace_wire"


def instrument(engine: Engine | AsyncEngine) -> None:
    """Give the engine binary vectors, on connections made before and after; a second call does nothing.

    The engine stays its owner's: nothing is opened, and closing it remains their business. Every other engine works
    too, by text, but one on asyncpg where pgvector's `register_vector` was called: its codecs take no text, and this
    takes their place on the connections made after.

    Raises:
        ConfigurationError: the engine is not for PostgreSQL, or its driver is none of psycopg, asyncpg, psycopg2.
    """
    sync_engine = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    dialect: Any = sync_engine.dialect
    if dialect.name != "postgresql" or dialect.driver not in _SETUP:
        message = f"Expected postgresql with one of {', '.join(_SETUP)}, got {dialect.name} with {dialect.driver}."
        raise ConfigurationError(message)
    if not hasattr(dialect, "rowspace_send"):
        _SETUP[dialect.driver](sync_engine, dialect)


def is_ready(connection: Connection) -> bool:
    """Return whether the driver's connection has its adapters; one on psycopg2 has none."""
    return bool(connection.info.get(_READY))


def _psycopg(engine: Engine, dialect: Any) -> None:
    from rowspace.wire.psycopg import WireValue, prepare

    @event.listens_for(engine, "checkout")
    def register(_connection: Any, record: Any, _proxy: Any) -> None:
        if _READY not in record.info:
            prepare(record.driver_connection)
            record.info[_READY] = True

    dialect.rowspace_wrap = WireValue
    dialect.rowspace_send = True


def _psycopg2(_engine: Engine, dialect: Any) -> None:
    dialect.rowspace_send = True


def _asyncpg(engine: Engine, dialect: Any) -> None:
    from rowspace.wire.asyncpg import WireBytes, is_outdated, register_codecs

    is_disconnect = dialect.is_disconnect

    @event.listens_for(engine, "checkout")
    def register(connection: Any, record: Any, _proxy: Any) -> None:
        # False while the extension is not there: asked again at the next checkout, until a migration has run.
        if not record.info.get(_READY):
            record.info[_READY] = connection.run_async(register_codecs)
            # What was prepared before is kept here with the codecs of then; asyncpg forgets its own.
            if (prepared := connection._prepared_statement_cache) is not None:  # noqa: SLF001 -- there is no other way
                prepared.clear()

    # Codecs cannot be registered anew in the transaction that failed; the next connection has them.
    dialect.is_disconnect = lambda error, *of: is_disconnect(error, *of) or is_outdated(error)
    dialect.rowspace_wrap = lambda data, _text: WireBytes(data)
    dialect.rowspace_send = True


_SETUP = {"psycopg": _psycopg, "psycopg_async": _psycopg, "psycopg2": _psycopg2, "asyncpg": _asyncpg}
