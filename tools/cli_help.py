"""Write what each command's --help says into docs/reference/cli.md, or with --check find that it is stale.

    python tools/cli_help.py [--check]

A block that begins with `$ rowspace ... --help` is filled; a command without a block is an error.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command
from typer.testing import CliRunner

from rowspace.cli.app import app

PAGE = Path(__file__).resolve().parent.parent / "docs/reference/cli.md"
BLOCK = re.compile(r"(?<=^```console\n)\$ rowspace ?(?P<command>.*) --help\n(?:.*\n)*?(?=```$)", re.MULTILINE)


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the words of every command, the root's being none."""
    yield " ".join(path)
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


def help_of(command: str) -> str:
    """Return what a terminal of 100 columns shows for a command's --help."""
    os.environ["COLUMNS"] = "100"
    shown = CliRunner().invoke(app, [*command.split(), "--help"], prog_name="rowspace").output
    lines = "\n".join(line.rstrip() for line in shown.strip().splitlines())
    return f"$ {' '.join(['rowspace', *command.split(), '--help'])}\n{lines}\n"


def main() -> None:
    """Fill the blocks, or compare them."""
    page = PAGE.read_text("utf-8")
    missing = set(commands(get_command(app))) - {match["command"] for match in BLOCK.finditer(page)}
    if missing:
        sys.exit(f"cli_help: {PAGE.name} has no block for: {', '.join(sorted(missing))}")
    filled = BLOCK.sub(lambda match: help_of(match["command"]), page)
    if filled == page:
        return
    if "--check" in sys.argv:
        sys.exit(f"cli_help: {PAGE.name} is stale; run: python tools/cli_help.py")
    PAGE.write_text(filled, "utf-8")
    print(f"wrote {PAGE.name}")


if __name__ == "__main__":
    main()
