"""Rowspace's migration environment, which the command `alembic` and `rowspace.migrations` run.

The code is in `rowspace.migrations.environment`, where it is typed and tested.
"""

from rowspace.migrations.environment import run

run()
