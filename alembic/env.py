"""Rowspace's migration environment, run by the `alembic` command and by `rowspace.migrations` alike.

What it does is in `rowspace.migrations.environment`, where it is typed and tested.
"""

from rowspace.migrations.environment import run

run()
