"""Alembic operations for extensions: `op.create_extension("vector")` and `op.drop_extension("vector")`.

Like Alembic's own operations, each is an object that can run, render itself into a migration file, and reverse itself.
Vector indexes need no separate operation: Alembic's `op.create_index` accepts all of their options.
"""

from __future__ import annotations

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation, Operations
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from rowspace.diagnosis import too_old
from rowspace.errors import PermissionDenied, SchemaNotReady, sqlstate_of

__all__ = ["CreateExtensionOp", "DropExtensionOp"]

# The version of the installed extension, or else of the one that could be installed.
_VERSIONS = text("""
    SELECT CAST(current_setting('server_version_num') AS integer) / 10000,
           coalesce((SELECT extversion FROM pg_extension WHERE extname = 'vector'),
                    (SELECT default_version FROM pg_available_extensions WHERE name = 'vector'))
""")


@Operations.register_operation("create_extension")
class CreateExtensionOp(MigrateOperation):
    """Create an extension if the database does not have it."""

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def create_extension(cls, operations: Operations, name: str) -> None:
        """Issue `CREATE EXTENSION IF NOT EXISTS name`.

        Raises:
            PermissionDenied: the role may not create it; the message says what an administrator runs once.
            SchemaNotReady: its files are not installed on the server, or it or the server is older than Rowspace needs.
        """
        operations.invoke(cls(name))

    def reverse(self) -> DropExtensionOp:
        """Return the operation that undoes it."""
        return DropExtensionOp(self.name)

    def to_diff_tuple(self) -> tuple[str, str]:
        """Return what `alembic check` prints."""
        return ("create_extension", self.name)


@Operations.register_operation("drop_extension")
class DropExtensionOp(MigrateOperation):
    """Drop an extension; PostgreSQL refuses while a column or an index uses it."""

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def drop_extension(cls, operations: Operations, name: str) -> None:
        """Issue `DROP EXTENSION IF EXISTS name`, without CASCADE.

        Raises:
            PermissionDenied: it belongs to another role, or something else still uses it; the message says what to do.
        """
        operations.invoke(cls(name))

    def reverse(self) -> CreateExtensionOp:
        """Return the operation that undoes it."""
        return CreateExtensionOp(self.name)

    def to_diff_tuple(self) -> tuple[str, str]:
        """Return what `alembic check` prints."""
        return ("drop_extension", self.name)


@Operations.implementation_for(CreateExtensionOp)
def _create(operations: Operations, operation: CreateExtensionOp) -> None:
    name = operation.name
    if name == "vector" and not operations.get_context().as_sql:
        _refuse_old(operations)
    try:
        operations.execute(text(f"CREATE EXTENSION IF NOT EXISTS {_quoted(operations, name)}"))
    except DBAPIError as error:
        sqlstate = sqlstate_of(error.orig)
        if sqlstate == "42501":
            message = (
                f"This role may not create the extension {name!r}. "
                f"Let an administrator run CREATE EXTENSION {name}; once in this database, then migrate again."
            )
            raise PermissionDenied(message) from error
        # PostgreSQL 16 and later report a missing feature, earlier versions a missing file.
        if sqlstate in {"0A000", "58P01"}:
            message = (
                f"The extension {name!r} is not installed on the database server. "
                "Let an administrator install its package there (pgvector for 'vector'), then migrate again."
            )
            raise SchemaNotReady(message) from error
        raise


def _refuse_old(operations: Operations) -> None:
    postgresql, pgvector = operations.get_bind().execute(_VERSIONS).one()
    old = too_old(postgresql, pgvector)
    if old is not None:
        message = f"{old.what} {old.why} {old.fix} Then migrate again."
        raise SchemaNotReady(message)


@Operations.implementation_for(DropExtensionOp)
def _drop(operations: Operations, operation: DropExtensionOp) -> None:
    try:
        operations.execute(text(f"DROP EXTENSION IF EXISTS {_quoted(operations, operation.name)}"))
    except DBAPIError as error:
        if sqlstate_of(error.orig) not in {"42501", "2BP01"}:
            raise
        message = (
            f"The extension {operation.name!r} belongs to another role or is used by other tables: {error.orig} "
            f"To keep it, remove op.drop_extension({operation.name!r}) from the migration."
        )
        raise PermissionDenied(message) from error


@renderers.dispatch_for(CreateExtensionOp)
def _render_create(context: AutogenContext, operation: CreateExtensionOp) -> str:
    return f"{context.opts['alembic_module_prefix']}create_extension({operation.name!r})"


@renderers.dispatch_for(DropExtensionOp)
def _render_drop(context: AutogenContext, operation: DropExtensionOp) -> str:
    return f"{context.opts['alembic_module_prefix']}drop_extension({operation.name!r})"


def _quoted(operations: Operations, name: str) -> str:
    return operations.get_context().dialect.identifier_preparer.quote(name)
