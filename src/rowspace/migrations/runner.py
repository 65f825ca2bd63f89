"""Running Rowspace's migrations from Python: the same scripts as `alembic upgrade head`.

Each function accepts an Engine or a Connection. With an Engine, it runs in its own transaction. On a Connection that is
already in a transaction, it does not commit; on others, it does. From async code:
`await connection.run_sync(upgrade)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock, get_ident
from typing import Any, TextIO

import alembic.context
import alembic.op
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine

from rowspace.errors import ConfigurationError, mapped_errors
from rowspace.migrations.environment import VERSION_TABLE, found_elsewhere, prepare

__all__ = ["at_head", "current", "downgrade", "head", "upgrade"]


def upgrade(
    target: Engine | Connection | None,
    revision: str = "head",
    *,
    schema: str | None = None,
    sql: bool = False,
    stream: TextIO | None = None,
) -> None:
    """Bring the database to `revision`. Others that upgrade it at the same time wait, then find it done.

    Args:
        target: the database; not used with `sql`, where it may be None.
        revision: a revision, `head`, or with `sql` also a range such as `0001:0002`.
        schema: where the tables live; it is created if it is missing. By default the one that the target's
            `schema_translate_map` gives for None, else that of the search path which has them, or the first one.
        sql: print the SQL instead of running it.
        stream: where `sql` prints, by default standard output.

    Raises:
        ConfigurationError: an unknown revision, or a target that is not a synchronous Engine or Connection.
        PermissionDenied: the role may not create the extension, the schema or the tables.
    """
    _command(command.upgrade, target, revision, schema=schema, sql=sql, stream=stream)


def downgrade(
    target: Engine | Connection | None,
    revision: str,
    *,
    schema: str | None = None,
    sql: bool = False,
    stream: TextIO | None = None,
) -> None:
    """Take the database back to `revision`; `base` drops the tables and every document in them, not the extension.

    Args:
        target: the database; not used with `sql`, where it may be None.
        revision: a revision, `base`, or with `sql` a range such as `0001:base`.
        schema: as for `upgrade`.
        sql: print the SQL instead of running it.
        stream: where `sql` prints, by default standard output.

    Raises:
        ConfigurationError: an unknown revision, or a target that is not a synchronous Engine or Connection.
        PermissionDenied: the role does not own the tables.
    """
    _command(command.downgrade, target, revision, schema=schema, sql=sql, stream=stream)


def current(target: Engine | Connection, *, schema: str | None = None) -> str | None:
    """Return the revision of the database, or None before the first. It needs no right but to read.

    Raises:
        ConfigurationError: a target that is not a synchronous Engine or Connection.
    """
    with mapped_errors(), _connected(target) as connection:
        opts = {"version_table": VERSION_TABLE, "version_table_schema": _schema(connection, schema)}
        return MigrationContext.configure(connection, opts=opts).get_current_revision()


@cache
def head() -> str:
    """Return the newest revision of this version of Rowspace."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        message = f"There is no migration in {_script_location()}: the installation is incomplete."
        raise ConfigurationError(message)
    return revision


def at_head(target: Engine | Connection, *, schema: str | None = None) -> bool:
    """Return whether the database is at `head()`, for a check before a service starts."""
    return current(target, schema=schema) == head()


def _command(
    run: Callable[..., None],
    target: Engine | Connection | None,
    revision: str,
    *,
    schema: str | None,
    sql: bool,
    stream: TextIO | None,
) -> None:
    if sql:
        with _alembic_to_itself():
            run(_config(stream, schema=schema), revision, sql=True)
        return
    with mapped_errors(), _connected(target) as connection:
        schema = _schema(connection, schema)
        # Before entering Alembic, so that waiting for the database does not block other migrations in this process.
        prepare(connection, schema)
        with _alembic_to_itself():
            run(_config(schema=schema, connection=connection), revision)


def _config(stream: TextIO | None = None, **attributes: Any) -> Config:
    config = Config(output_buffer=stream, attributes=attributes)
    # ConfigParser reads a single % as the start of a variable.
    config.set_main_option("script_location", str(_script_location()).replace("%", "%%"))
    return config


def _script_location() -> Path:
    """Return the directory of env.py: in a wheel, inside the package; in a checkout, next to `src`."""
    package = Path(__file__).parents[1]
    for directory in (package / "_alembic", package.parents[1] / "alembic"):
        if (directory / "env.py").is_file():
            return directory
    message = f"Rowspace's migrations are missing in {package}. The installation is incomplete: install it again."
    raise ConfigurationError(message)


@contextmanager
def _connected(target: Engine | Connection | None) -> Iterator[Connection]:
    if isinstance(target, Engine):
        # READ COMMITTED, so that the version is read as of after the lock, not before.
        with target.connect().execution_options(isolation_level="READ COMMITTED") as connection, connection.begin():
            yield connection
    elif not isinstance(target, Connection):
        message = (
            f"Migrations need a synchronous Engine or Connection, got {type(target).__name__}. "
            "From async code, call await connection.run_sync(upgrade)."
        )
        raise ConfigurationError(message)
    elif target.in_transaction():
        yield target
    else:
        with target.begin():
            yield target


def _schema(connection: Connection, schema: str | None) -> str | None:
    translated = connection.get_execution_options().get("schema_translate_map") or {}
    return schema or translated.get(None) or found_elsewhere(connection)


# Alembic's `op` and `context` are globals of the process: only one command can run at a time, also for other databases.
_busy = Lock()
_busy_in: set[int] = set()


@contextmanager
def _alembic_to_itself() -> Iterator[None]:
    if get_ident() in _busy_in:
        message = "Another migration is running in this thread. Await them one after the other."
        raise ConfigurationError(message)
    with _busy:
        _busy_in.add(get_ident())
        # The application may be in one of its migrations, or in its env.py: restore its proxies afterwards.
        outer = [vars(module).get("_proxy") for module in (alembic.context, alembic.op)]
        try:
            yield
        except CommandError as error:
            raise ConfigurationError(str(error)) from error
        finally:
            for proxy in filter(None, outer):
                proxy._install_proxy()  # noqa: SLF001 -- there is no other way
            _busy_in.discard(get_ident())
