"""Rowspace's migrations, and Alembic support for the migrations of an application.

`upgrade`, `downgrade`, `current`, `head` and `at_head` run and check Rowspace's migrations. Their version is in the
table `rowspace_alembic_version`, apart from the application's. In the `env.py` of an application,
`context.configure(..., **configure_options())` lets autogenerate detect vector columns and vector indexes. Importing
this package adds `op.create_extension` and `op.drop_extension`.
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
