"""`python -m rowspace`, and the command `rowspace`, which says in one line what it lacks where the extra is missing."""

from __future__ import annotations

import sys

from rowspace.errors import MissingExtra

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    try:
        from rowspace.cli import main as command_line
    except MissingExtra as error:
        sys.exit(f"Error: {error}")
    try:
        command_line()
    except KeyboardInterrupt:
        # It came while the command was being imported; from then on the command attends to it.
        sys.stderr.write("Interrupted.\n")
        # As in `rowspace.cli.process`: CPython would end by the signal itself where it came within an `exec`.
        exec("")  # noqa: S102
        sys.exit(130)


if __name__ == "__main__":
    main()
