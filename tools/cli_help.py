"""Write the --help of each command to docs/reference/cli.md, or check that the page is current.

    python tools/cli_help.py [--check]

The script fills each block that begins with `$ rowspace ... --help`. A command without a block is an error.
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
    """Yield the words of every command. The root has none."""
    yield " ".join(path)
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


def help_of(command: str) -> str:
    """Return the --help of a command on a terminal with 100 columns."""
    os.environ["COLUMNS"] = "100"
    shown = CliRunner().invoke(app, [*command.split(), "--help"], prog_name="rowspace").output
    lines = "\n".join(line.rstrip() for line in shown.strip().splitlines())
    return f"$ {' '.join(['rowspace', *command.split(), '--help'])}\n{lines}\n"


def main() -> None:
    """Fill the blocks, or check them."""
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
