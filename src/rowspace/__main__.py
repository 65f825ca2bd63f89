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
    command_line()


if __name__ == "__main__":
    main()
