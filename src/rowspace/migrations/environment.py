"""The code of `alembic/env.py`: the connection, the lock, the schema, and the tables to compare.

The command `alembic` reads its URL and schema from `-x` arguments, environment variables and `alembic.ini`. The runner
passes a connection and a schema in `config.attributes`, and these other sources are not read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from configparser import InterpolationError
from logging.config import fileConfig
from typing import Any

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData, NullPool, create_engine, func, inspect, quoted_name, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateSchema, SchemaItem

from rowspace.errors import ConfigurationError, RowspaceError, mapped_errors, sqlstate_of
from rowspace.migrations.autogenerate import configure_options
from rowspace.migrations.urls import migration_url
from rowspace.models import Base, Collection, Document, LoadProgress

__all__ = ["VERSION_TABLE", "found_elsewhere", "is_rowspace_table", "prepare", "run"]

#: Rowspace's version table, separate from an application's `alembic_version`.
VERSION_TABLE = "rowspace_alembic_version"

# One upgrade at a time per database, whatever the schema, because the extension belongs to the database. The number is
# "rowspace" in bytes.
_LOCK = int.from_bytes(b"rowspace")
_TABLES = {model.__tablename__ for model in (Collection, Document, LoadProgress)}
# The partition of a collection, and the tables that a re-embedding adds.
_PARTITION = re.compile(r"documents_\d+(?:_next|_changes)?")
_ELSEWHERE = text("""
    SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid = to_regclass(:name) AND n.nspname <> current_schema()
""")
_NO_URL = (
    "No database URL. Give one of: -x url=postgresql://user@host/name, "
    "the environment variable ROWSPACE_DATABASE_URL, or sqlalchemy.url in alembic.ini."
)


def is_rowspace_table(name: str | None) -> bool:
    """Return whether a table belongs to Rowspace, for the `include_name` and `include_object` of an application."""
    return name is not None and (name in {*_TABLES, VERSION_TABLE} or _PARTITION.fullmatch(name) is not None)


def run() -> None:
    """Run the current Alembic command.

    Raises:
        CommandError: in the command `alembic`, instead of an error of Rowspace or of the database; Alembic prints it.
    """
    config = context.config
    if config.attributes.keys() & {"connection", "schema"}:
        _run(config.attributes.get("connection"), config.attributes.get("schema"))
        return
    if config.config_file_name:
        fileConfig(config.config_file_name, disable_existing_loggers=False)
    try:
        _run_from_command_line()
    except (RowspaceError, DBAPIError) as error:
        raise CommandError(str(error)) from error


def prepare(connection: Connection, schema: str | None) -> None:
    """Wait for other upgrades of this database, until the end of the transaction; create the schema if it is missing.

    The lock belongs to the transaction, because a session-level lock would remain on the connection of PgBouncer.
    """
    connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    # Checked first, because IF NOT EXISTS requires the privilege to create even if the schema exists.
    if schema is not None and not inspect(connection).has_schema(schema):
        connection.execute(CreateSchema(schema, if_not_exists=True))


def found_elsewhere(connection: Connection) -> str | None:
    """Return the schema of Rowspace's tables if it is not the one of the search path in which tables are created."""
    found: str | None = connection.scalar(_ELSEWHERE, {"name": VERSION_TABLE})
    return found


def _run_from_command_line() -> None:
    given = context.get_x_argument(as_dictionary=True)
    schema = given.get("schema") or os.environ.get("ROWSPACE_SCHEMA") or None
    if context.is_offline_mode():
        _run(None, schema)
        return
    url = given.get("url") or os.environ.get("ROWSPACE_DATABASE_URL") or _configured_url()
    if not url:
        raise ConfigurationError(_NO_URL)
    # Prepared statements fail through PgBouncer. READ COMMITTED, so that the version is read as of after the lock. In
    # an SQL_ASCII database, psycopg returns text as bytes unless an encoding is set.
    engine = create_engine(
        migration_url(url),
        poolclass=NullPool,
        isolation_level="READ COMMITTED",
        connect_args={"prepare_threshold": None, "client_encoding": "UTF8"},
    )
    with mapped_errors(), engine.connect() as connection:
        schema = schema or found_elsewhere(connection)
        # Alembic begins its own transaction.
        connection.rollback()
        _run(connection, schema)


def _configured_url() -> str | None:
    try:
        return context.config.get_main_option("sqlalchemy.url")
    except InterpolationError:
        # `from None`: the message of ConfigParser contains the value, and the % is usually part of the password.
        message = "sqlalchemy.url in alembic.ini contains a single %. Write it twice: %%."
        raise ConfigurationError(message) from None


def _run(connection: Connection | None, schema: str | None) -> None:
    if connection is None:
        _configure(schema, dialect_name="postgresql+psycopg", literal_binds=True, dialect_opts={"paramstyle": "named"})
        with context.begin_transaction():
            _prepare_offline(schema)
            context.run_migrations()
        return
    _configure(schema, connection=connection)
    with context.begin_transaction():
        if not context.get_context().opts.get("dont_mutate"):
            prepare(connection, schema)
        try:
            context.run_migrations()
        except CommandError as error:
            _explain_newer(error)
            raise
        except DBAPIError as error:
            _explain_taken(error)
            raise


def _explain_newer(error: CommandError) -> None:
    """Replace the error for a database that is ahead of this version; Alembic's sounds like a missing file."""
    unknown = [revision for revision in context.get_context().get_current_heads() if f"{revision!r}" in str(error)]
    if unknown:
        message = (
            f"The database is at revision {unknown[0]!r}, which this version of Rowspace does not know. A newer "
            "version migrated it; install that version."
        )
        raise ConfigurationError(message) from error


def _explain_taken(error: DBAPIError) -> None:
    """Add a fix to the error if a table of the application has a name that Rowspace needs, such as `documents`."""
    if sqlstate_of(error.orig) == "42P07":
        message = (
            f"{str(error.orig).strip()}, and these migrations did not create it. Put Rowspace's tables into a separate "
            "schema: alembic -x schema=rag, rowspace --schema rag, or the environment variable ROWSPACE_SCHEMA."
        )
        raise ConfigurationError(message) from error


def _prepare_offline(schema: str | None) -> None:
    context.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
    if schema is not None:
        context.execute(CreateSchema(schema, if_not_exists=True))


def _configure(schema: str | None, *, connection: Connection | None = None, **target: Any) -> None:
    # In Alembic, None stands for the default schema of the connection.
    default = connection.dialect.default_schema_name if connection is not None else None
    compared = None if schema == default else schema

    def include_name(name: str | None, kind: Any, parents: Mapping[Any, str | None]) -> bool:
        if kind == "schema":
            return name == compared
        return name in _TABLES and parents["schema_name"] == compared if kind == "table" else True

    context.configure(
        connection=connection,
        target_metadata=_target(compared),
        version_table=VERSION_TABLE,
        # Quoted as a whole: Alembic would read the part before a dot as a database.
        version_table_schema=None if schema is None else quoted_name(schema, quote="." in schema or None),
        include_schemas=compared is not None,
        include_name=include_name,
        include_object=_include_object,
        compare_server_default=True,
        **configure_options(),
        **target,
    )


def _target(schema: str | None) -> MetaData:
    """Return only Rowspace's tables: an application may have models on the same base."""
    target = MetaData(naming_convention=Base.metadata.naming_convention)
    for name in sorted(_TABLES):
        table = Base.metadata.tables[name]
        table.to_metadata(target) if schema is None else table.to_metadata(target, schema=schema)
    return target


def _include_object(_: SchemaItem, name: str | None, kind: str, *__: Any) -> bool:
    return kind != "table" or name in _TABLES
