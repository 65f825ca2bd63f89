"""What the commands share: the database option, and errors in Django's format."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from pydantic import ValidationError

from rowspace.errors import RowspaceError
from rowspace.integrations._explained import sentence_of
from rowspace.integrations.django.conf import alias_of

__all__ = ["RowspaceCommand"]


class RowspaceCommand(BaseCommand):
    """A command on one database. A Rowspace error becomes one sentence and exit code 1."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Add `--database`, as in Django's own commands."""
        parser.add_argument(
            "--database",
            choices=[*connections],
            default=None,
            help="An alias from DATABASES; by default that of the setting ROWSPACE.",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Run the command."""
        options["database"] = alias_of(options["database"])
        try:
            self.run(**options)
        except (ValidationError, RowspaceError, OSError) as error:
            raise CommandError(sentence_of(error)) from error

    def run(self, **options: Any) -> None:
        """Perform the command."""
        raise NotImplementedError
