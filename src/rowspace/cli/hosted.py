"""The commands as part of another program, such as `flask`, which brings the settings along."""

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
        arguments: its name, options and arguments.
        name: what the program calls these commands, for their help.
        without: commands that make no sense within it.
        database: the program's `Database`, where it is not to be opened from the settings.
        settings: fields of `Settings` in place of the variables of the environment; None is no value.
    """
    commands: Any = get_command(app)
    for one in without:
        commands.commands.pop(one)
    prepare()
    commands.main(args=[*arguments], prog_name=name, obj=Settings().overridden(**settings).on(database))
    raise AssertionError  # it exits
