"""The commands as part of another program, such as `flask`, which provides the settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from typer.main import get_command

from rowspace.cli.app import app
from rowspace.cli.process import prepare
from rowspace.cli.settings import Settings

__all__ = ["run"]


def run(
    arguments: Sequence[str], *, name: str, without: Sequence[str] = (), database: Any = None, **settings: Any
) -> NoReturn:
    """Run a command and exit.

    Args:
        arguments: the command's name, options and arguments.
        name: the program's name for these commands, as shown in their help.
        without: commands to leave out.
        database: the program's `Database`; None means to open one from the settings.
        settings: fields of `Settings` that override environment variables; None does not override.
    """
    commands: Any = get_command(app)
    for one in without:
        commands.commands.pop(one)
    prepare()
    commands.main(args=[*arguments], prog_name=name, obj=Settings().overridden(**settings).on(database))
    raise AssertionError  # main() exits
