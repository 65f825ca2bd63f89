"""The command line (extra `cli`): the services, driven by hand. No other package imports it.

`main` runs a command. Each module here holds one command, or one thing that several commands share.
"""

from __future__ import annotations

from rowspace._optional import require

for _module in ("typer", "rich", "pydantic_settings"):
    require(_module, extra="cli")

__all__ = ["main"]


def main() -> None:
    """Run the command that `sys.argv` names, and exit."""
    from rowspace.cli.app import app
    from rowspace.cli.process import prepare

    prepare()
    app(prog_name="rowspace")
