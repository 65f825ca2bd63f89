"""Migrations: running Rowspace's own, and Alembic support for an application's.

Rowspace's own (`upgrade`, `downgrade`, `current`, `head`, `at_head`) keep their version in the table
`rowspace_alembic_version` and never touch an application's. For an application's history, one line in its `env.py`,
`context.configure(..., **configure_options())`, makes autogenerate see vector columns and vector indexes, and
importing this package adds `op.create_extension` and `op.drop_extension`.
"""

from rowspace.migrations.autogenerate import configure_options
from rowspace.migrations.environment import VERSION_TABLE, is_rowspace_table
from rowspace.migrations.operations import CreateExtensionOp, DropExtensionOp
from rowspace.migrations.runner import at_head, current, downgrade, head, upgrade

__all__ = [
    "VERSION_TABLE",
    "CreateExtensionOp",
    "DropExtensionOp",
    "at_head",
    "configure_options",
    "current",
    "downgrade",
    "head",
    "is_rowspace_table",
    "upgrade",
]
